// SPDX-License-Identifier: MIT
//
// Replacing a file: its mode, what is left behind, and what a failure leaves in place. That a killed writer
// leaves a whole file is shown in tests/unit/link/invites_test.cpp.
#include "base/atomic_file.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace zks {
namespace {

namespace fs = std::filesystem;

class AtomicFile : public testing::Test {
 protected:
  AtomicFile() {
    std::string name = (fs::temp_directory_path() / "zks-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~AtomicFile() override { fs::remove_all(directory_); }

  static std::string read(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(directory_), fs::directory_iterator());
  }
  fs::path directory_;
};

TEST_F(AtomicFile, ReplacesWithTheModeAskedForWhateverTheUmask) {
  const fs::path path = directory_ / "file";
  const mode_t before = ::umask(0777);
  EXPECT_TRUE(write_file_atomically(path, "first"));
  EXPECT_TRUE(write_file_atomically(path, "second", 0644));
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644U);
  EXPECT_EQ(read(path), "second");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFile, ReplacesASymbolicLinkInsteadOfFollowingIt) {
  std::ofstream(directory_ / "target") << "kept";
  fs::create_symlink(directory_ / "target", directory_ / "link");
  EXPECT_TRUE(write_file_atomically(directory_ / "link", "new"));
  EXPECT_EQ(read(directory_ / "target"), "kept");
  EXPECT_EQ(read(directory_ / "link"), "new");
}

TEST_F(AtomicFile, AFailureNamesThePathAndLeavesNothingBehind) {
  const auto missing = write_file_atomically(directory_ / "no/file", "x");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kIo);
  EXPECT_THAT(missing.error().text, testing::HasSubstr("no/file"));

  fs::create_directory(directory_ / "directory");
  std::ofstream(directory_ / "directory/inside") << "x";
  EXPECT_FALSE(write_file_atomically(directory_ / "directory", "x"));  // rename() fails
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFile, UnfinishedWritesOfThisFileAreRemovedAndOthersKept) {
  for (const char* name : {".file.0011.tmp", ".other.0011.tmp", "file", ".file.0011"}) {
    std::ofstream(directory_ / name) << "x";
  }
  remove_unfinished_writes(directory_ / "file");
  EXPECT_FALSE(fs::exists(directory_ / ".file.0011.tmp"));
  EXPECT_EQ(files(), 3);
}

}  // namespace
}  // namespace zks
