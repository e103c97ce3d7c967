// SPDX-License-Identifier: MIT
//
// resolv.conf in every form, there and back. A mounted one, which takes root, is in
// tests/e2e/test_vpn_host.py.
#include "host/resolv_conf.hpp"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/temporary_directory.hpp"

namespace zks::host {
namespace {

using testing::HasSubstr;

class ResolvConf : public testing::Test {
 protected:
  ResolvConf() { plan_.resolv_conf = path_; }

  static std::string read(const std::filesystem::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  static void write(const std::filesystem::path& path, const std::string& content) {
    std::ofstream(path) << content;
  }

  // Replaced by ours; returns how to go back.
  ResolvConfChange replace() {
    const auto change = plan_resolv_conf(plan_);
    EXPECT_TRUE(change.has_value());
    EXPECT_TRUE(replace_resolv_conf(*change));
    EXPECT_THAT(read(path_), HasSubstr("nameserver 198.18.0.2\nnameserver 2001:2::2\n"));
    return *change;
  }
  void expect_nothing_else_there(int entries) {
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), entries);
  }

  test::TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "resolv.conf";
  Plan plan_{.tun = "zks0"};
};

TEST_F(ResolvConf, FileWithItsBytesAndMode) {
  const std::string content("nameserver 192.0.2.1\r\n\xff\0 no end of line", 39);
  write(path_, content);
  ::chmod(path_.c_str(), 0640);
  const ResolvConfChange change = replace();
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  ASSERT_TRUE(restore_resolv_conf(change));
  EXPECT_EQ(read(path_), content);
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  expect_nothing_else_there(1);
}

TEST_F(ResolvConf, OursKeepsWhatTheirsSaysBesideServers) {
  const auto expect_settings = [&] {
    const ResolvConfChange change = replace();
    EXPECT_THAT(read(path_), HasSubstr("\nsearch lan\noptions ndots:2\nnameserver 198.18.0.2\n"));
    EXPECT_EQ(plan_resolv_conf(plan_)->ours, change.ours) << "of our own, ours is the same";
  };
  write(path_, "search lan\nnameserver 192.0.2.1\noptions ndots:2 trust-ad\n");
  expect_settings();
  std::filesystem::remove(path_);
  write(directory_.path() / "managed", "nameserver 192.0.2.1\nsearch lan\noptions ndots:2\n");
  std::filesystem::create_symlink("managed", path_);
  expect_settings();
}

TEST_F(ResolvConf, FileOfSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "takes root, to give a file away";
  write(path_, "nameserver 192.0.2.1\n");
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12346), 0);
  ASSERT_TRUE(restore_resolv_conf(replace()));
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 12345u);
  EXPECT_EQ(status.st_gid, 12346u);
}

TEST_F(ResolvConf, EmptyFile) {
  write(path_, "");
  ASSERT_TRUE(restore_resolv_conf(replace()));
  EXPECT_TRUE(std::filesystem::is_regular_file(path_));
  EXPECT_EQ(read(path_), "");
}

TEST_F(ResolvConf, LinkWhoseTargetIsLeftAlone) {
  for (const char* target : {"target", "../nowhere/at/all"}) {
    write(directory_.path() / "target", "nameserver 192.0.2.1\n");
    std::filesystem::create_symlink(target, path_);
    const ResolvConfChange change = replace();
    EXPECT_FALSE(std::filesystem::is_symlink(path_));
    EXPECT_EQ(read(directory_.path() / "target"), "nameserver 192.0.2.1\n");
    ASSERT_TRUE(restore_resolv_conf(change));
    EXPECT_EQ(std::filesystem::read_symlink(path_), target);
    std::filesystem::remove(path_);
  }
  expect_nothing_else_there(1);
}

TEST_F(ResolvConf, WhatAKilledWriterLeftGoes) {
  write(path_, "nameserver 192.0.2.1\n");
  const ResolvConfChange change = replace();
  write(directory_.path() / ".resolv.conf.0123456789abcdef.tmp", "nameserver");
  ASSERT_TRUE(restore_resolv_conf(change));
  expect_nothing_else_there(1);
}

TEST_F(ResolvConf, NoFile) {
  ASSERT_TRUE(restore_resolv_conf(replace()));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ResolvConf, RestoringTwiceIsRestoring) {
  write(path_, "nameserver 192.0.2.1\n");
  const ResolvConfChange change = replace();
  ASSERT_TRUE(restore_resolv_conf(change));
  ASSERT_TRUE(restore_resolv_conf(change));
  EXPECT_EQ(read(path_), "nameserver 192.0.2.1\n");
}

TEST_F(ResolvConf, ThatWasNeverReplacedIsNotTouched) {
  write(path_, "nameserver 192.0.2.1\n");
  const auto change = plan_resolv_conf(plan_);
  ASSERT_TRUE(change.has_value());
  write(path_, "nameserver 192.0.2.2\n");
  ASSERT_TRUE(restore_resolv_conf(*change));
  EXPECT_EQ(read(path_), "nameserver 192.0.2.2\n");
}

TEST_F(ResolvConf, ThatSomebodyElseWroteMeanwhileStays) {
  write(path_, "nameserver 192.0.2.1\n");
  const ResolvConfChange change = replace();
  write(path_, "nameserver 192.0.2.2\n");
  ASSERT_TRUE(restore_resolv_conf(change));
  EXPECT_EQ(read(path_), "nameserver 192.0.2.2\n");

  std::filesystem::remove(path_);
  ASSERT_TRUE(restore_resolv_conf(change));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ResolvConf, ThatIsNoneIsRefused) {
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(plan_resolv_conf(plan_));
  std::filesystem::remove(path_);
  write(path_, std::string(70'000, '#'));
  EXPECT_FALSE(plan_resolv_conf(plan_));
}

}  // namespace
}  // namespace zks::host
