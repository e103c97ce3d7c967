// SPDX-License-Identifier: MIT
//
// The state directory on a real file system: who may read it, what it makes once and keeps, and what it says
// about a directory or file that is not right.
#include "link/state_directory.hpp"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/temporary_directory.hpp"
#include "link/state_files.hpp"

namespace zks::link {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class StateDirectoryTest : public testing::Test {
 protected:
  StateDirectory open() {
    auto state = StateDirectory::open(path());
    if (!state) throw std::runtime_error(state.error().text);
    return *state;
  }
  fs::path path() const { return root_.path() / "state"; }
  static mode_t mode_of(const fs::path& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  static std::string read(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  test::TemporaryDirectory root_;
};

RelayUrl relay(const std::string& host, bool tls = true, const std::string& prefix = "") {
  return RelayUrl{.tls = tls, .host = host, .port = 443, .prefix = prefix};
}

TEST_F(StateDirectoryTest, MakesItselfAndItsParentsPrivate) {
  const fs::path deep = root_.path() / "a/b/state";
  ASSERT_TRUE(StateDirectory::open(deep));
  EXPECT_EQ(mode_of(deep), 0700U);
  EXPECT_EQ(mode_of(root_.path() / "a"), 0700U);
}

TEST_F(StateDirectoryTest, FilesAreReadableByTheOwnerOnlyWhateverTheUmask) {
  const mode_t before = ::umask(0);
  StateDirectory state = open();
  ASSERT_TRUE(state.load_or_create_exit_identity());
  ASSERT_TRUE(state.load_or_create_client_key());
  ASSERT_TRUE(state.add_invite("alice", std::nullopt, 5));
  ASSERT_TRUE(state.save_relays({.relays = {relay("a.example")}, .pin = {}}));
  ::umask(before);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(path())) {
    EXPECT_EQ(mode_of(entry.path()), 0600U) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 5U);  // the four above and the lock; nothing temporary is left
}

TEST_F(StateDirectoryTest, RefusesADirectoryOpenToOthersAndSaysWhatToDo) {
  open();
  for (const mode_t mode : {0750U, 0705U, 0710U, 0777U}) {
    ASSERT_EQ(::chmod(path().c_str(), mode), 0);
    const auto refused = StateDirectory::open(path());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(refused.error().text, HasSubstr("chmod 700 " + path().string()));
  }
}

TEST_F(StateDirectoryTest, RefusesADirectoryOfSomeoneElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  open();
  ASSERT_EQ(::chown(path().c_str(), 1, 1), 0);
  const auto refused = StateDirectory::open(path());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, HasSubstr("belongs to another user"));
}

TEST_F(StateDirectoryTest, RefusesAFileInItsPlace) {
  std::ofstream(path()) << "x";
  EXPECT_FALSE(StateDirectory::open(path()));
}

TEST_F(StateDirectoryTest,
       AcceptsASymbolicLinkToADirectory) {  // what systemd's DynamicUser makes of /var/lib/NAME
  open();
  fs::create_directory_symlink(path(), root_.path() / "link");
  EXPECT_TRUE(StateDirectory::open(root_.path() / "link"));
}

TEST_F(StateDirectoryTest, ExitIdentityIsMadeOnceAndConsistent) {
  const auto first = open().load_or_create_exit_identity();
  const auto second = open().load_or_create_exit_identity();
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->room_secret.equals(second->room_secret.view()));
  EXPECT_TRUE(first->static_secret.equals(second->static_secret.view()));
  EXPECT_EQ(first->room_public, second->room_public);
  EXPECT_EQ(first->static_public, second->static_public);
  EXPECT_EQ(first->room, derive_room_id(first->room_public));

  const std::string message = "signed";
  std::array<std::uint8_t, crypto_sign_BYTES> signature{};
  crypto_sign_detached(signature.data(), nullptr, as_bytes(message).data(), message.size(),
                       first->room_secret.data());
  EXPECT_EQ(crypto_sign_verify_detached(signature.data(), as_bytes(message).data(), message.size(),
                                        second->room_public.data()),
            0);
}

TEST_F(StateDirectoryTest, TwoDirectoriesHaveDifferentKeys) {
  const auto one = open().load_or_create_client_key();
  auto other_directory = StateDirectory::open(root_.path() / "other");
  ASSERT_TRUE(one && other_directory);
  const auto two = other_directory->load_or_create_client_key();
  ASSERT_TRUE(two);
  EXPECT_FALSE(one->equals(two->view()));
}

TEST_F(StateDirectoryTest, ClientKeyIsMadeOnce) {
  const auto first = open().load_or_create_client_key();
  const auto second = open().load_or_create_client_key();
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->equals(second->view()));
}

TEST_F(StateDirectoryTest, RelaysComeBackAsSaved) {
  StateDirectory state = open();
  const auto none = state.load_relays();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(none.error().text, HasSubstr("exit-peer --relay"));

  StateDirectory::RelayList list{.relays = {relay("a.example", true, "/x"), relay("2001:db8::1", true, "/x")},
                                 .pin = {}};
  for (const bool with_pin : {false, true}) {
    if (with_pin) list.pin = random_array<32>();
    ASSERT_TRUE(state.save_relays(list));
    const auto loaded = state.load_relays();
    ASSERT_TRUE(loaded) << loaded.error().text;
    EXPECT_EQ(loaded->relays, list.relays);
    EXPECT_EQ(loaded->pin, list.pin);
  }
}

TEST_F(StateDirectoryTest, RelaysThatNoLinkCouldHoldAreRefused) {
  StateDirectory state = open();
  EXPECT_FALSE(state.save_relays({}));
  EXPECT_FALSE(state.save_relays({.relays = {relay("a.example"), relay("b.example", false)}, .pin = {}}));
  EXPECT_FALSE(
      state.save_relays({.relays = {relay("a.example"), relay("b.example", true, "/x")}, .pin = {}}));
  EXPECT_FALSE(state.save_relays({.relays = std::vector<RelayUrl>(9, relay("a.example")), .pin = {}}));
}

TEST_F(StateDirectoryTest, ADamagedFileIsNamedAndKept) {
  StateDirectory state = open();
  ASSERT_TRUE(state.load_or_create_exit_identity());
  const fs::path file = path() / kIdentityFile;
  const std::string damaged = read(file).substr(0, 40);
  ASSERT_TRUE(write_file_atomically(file, damaged));
  const auto identity = state.load_or_create_exit_identity();
  ASSERT_FALSE(identity);
  EXPECT_THAT(identity.error().text, HasSubstr(file.string()));
  EXPECT_EQ(read(file), damaged);
}

TEST_F(StateDirectoryTest, ALostIdentityIsNotReplacedWhileThereAreInvites) {
  StateDirectory state = open();
  ASSERT_TRUE(state.load_or_create_exit_identity());
  ASSERT_TRUE(state.add_invite("alice", std::nullopt, 5));
  fs::remove(path() / kIdentityFile);
  const auto identity = state.load_or_create_exit_identity();
  ASSERT_FALSE(identity);
  EXPECT_THAT(identity.error().text, HasSubstr("backup"));
  EXPECT_FALSE(fs::exists(path() / kIdentityFile));
}

TEST_F(StateDirectoryTest, AFileOpenToOthersIsRefused) {
  StateDirectory state = open();
  ASSERT_TRUE(state.load_or_create_client_key());
  ASSERT_EQ(::chmod((path() / kClientFile).c_str(), 0640), 0);
  const auto key = state.load_or_create_client_key();
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(key.error().text, HasSubstr("chmod 600"));
}

TEST_F(StateDirectoryTest, WhatIsNotARegularSmallFileIsRefusedAtOnce) {
  StateDirectory state = open();
  ASSERT_EQ(::mkfifo((path() / kClientFile).c_str(), 0600), 0);
  EXPECT_FALSE(state.load_or_create_client_key());
  fs::remove(path() / kClientFile);
  fs::create_symlink("/dev/zero", path() / kClientFile);
  EXPECT_FALSE(state.load_or_create_client_key());
  fs::remove(path() / kClientFile);
  ASSERT_TRUE(write_file_atomically(path() / kClientFile, std::string(kMaxIdentityFile + 1, ' ')));
  const auto key = state.load_or_create_client_key();
  ASSERT_FALSE(key);
  EXPECT_THAT(key.error().text, HasSubstr("larger"));
}

TEST(StateDirectoryDefault, FollowsTheUserAndTheXdgSpecification) {
  if (::geteuid() == 0) {
    EXPECT_EQ(StateDirectory::default_path(), "/var/lib/zks");
    return;
  }
  ::setenv("XDG_STATE_HOME", "/tmp/xdg", 1);
  EXPECT_EQ(StateDirectory::default_path(), "/tmp/xdg/zks");
  ::setenv("XDG_STATE_HOME", "relative", 1);
  ::setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(StateDirectory::default_path(), "/home/someone/.local/state/zks");
}

}  // namespace
}  // namespace zks::link
