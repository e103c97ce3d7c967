// SPDX-License-Identifier: MIT
//
// The exit status of each kind of error, as the commands document it.
#include "base/result.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace zks {
namespace {

TEST(ExitStatus, OfEachKind) {
  EXPECT_EQ(exit_status(make_error(ErrorKind::kUsage, "")), 2);
  EXPECT_EQ(exit_status(make_error(ErrorKind::kRefused, "")), 3);
  EXPECT_EQ(exit_status(make_error(ErrorKind::kUntrusted, "")), 3);
  for (const ErrorKind kind : {ErrorKind::kProtocol, ErrorKind::kNetwork, ErrorKind::kTimeout,
                               ErrorKind::kClosed, ErrorKind::kLimit, ErrorKind::kIo}) {
    EXPECT_EQ(exit_status(make_error(kind, "")), 1);
  }
}

TEST(Result, ValueOfAnErrorThrowsItsText) {
  const Result<int> result = make_error(ErrorKind::kIo, "no such file", 2);
  EXPECT_EQ(result.error().detail, 2);
  try {
    static_cast<void>(result.value());
    FAIL() << "value() of an error returned";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "no such file");
  }
}

}  // namespace
}  // namespace zks
