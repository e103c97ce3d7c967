// SPDX-License-Identifier: MIT
#include "host/mounts.hpp"

#include <gtest/gtest.h>

namespace zks::host {
namespace {

constexpr std::string_view kMountInfo =
    "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"
    "40 22 254:1 /etc/netns/first/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda1 rw\n"
    "41 22 254:1 /etc/netns/second/resolv.conf /etc/resolv.conf rw master:1 - ext4 /dev/vda1 rw\n"
    "42 22 0:31 /a\\040b\\134 /run/with\\040space rw - tmpfs tmpfs rw\n"
    "43 22\n"
    "44 22 0:31 / /last rw";

TEST(Mounts, TheLastOneAtAPathIsSeen) {
  EXPECT_EQ(mounted_at(kMountInfo, "/etc/resolv.conf"), "/etc/netns/second/resolv.conf");
  EXPECT_EQ(mounted_at(kMountInfo, "/run/with space"), "/a b\\");
  EXPECT_EQ(mounted_at(kMountInfo, "/last"), "/");
}

TEST(Mounts, NothingElseIsOne) {
  for (const char* path : {"/etc", "/etc/resolv.conf/", "/etc/resolv", "/run", "43"}) {
    EXPECT_EQ(mounted_at(kMountInfo, path), "") << path;
  }
  EXPECT_EQ(mounted_at("", "/etc/resolv.conf"), "");
  EXPECT_EQ(mounted_at("\n\n   \n", "/etc/resolv.conf"), "");
  EXPECT_EQ(mounted_at("1 2 3 /x /y\\04", "/y\\04"), "/x");
}

TEST(Mounts, ProcIsMountedHere) {
  EXPECT_EQ(mounted_at("/proc"), "/");
}

}  // namespace
}  // namespace zks::host
