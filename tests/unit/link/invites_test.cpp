// SPDX-License-Identifier: MIT
//
// Invites: their life, the pinning of devices, and several processes that write at once or are killed at it.
#include <chrono>
#include <csignal>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/temporary_directory.hpp"
#include "link/state_directory.hpp"
#include "link/state_files.hpp"

namespace zks::link {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

PublicKey device(std::uint8_t number) {
  PublicKey key;
  key.fill(number);
  return key;
}

class InvitesTest : public testing::Test {
 protected:
  StateDirectory open() {
    auto state = StateDirectory::open(root_.path());
    if (!state) throw std::runtime_error(state.error().text);
    return *state;
  }
  // Runs `work` in a process of its own, which exits 0 when it returns true.
  static pid_t in_child(const std::function<bool()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(work() ? 0 : 1);
    return pid;
  }
  static bool succeeded(pid_t pid) {
    int status = 0;
    return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  test::TemporaryDirectory root_;
};

TEST_F(InvitesTest, AreStoredAsGiven) {
  StateDirectory state = open();
  const std::int64_t before = now();
  const auto alice = state.add_invite("alice", std::chrono::hours(24), 2);
  const auto bob = state.add_invite("bob.home_1-x", std::nullopt, 64);
  ASSERT_TRUE(alice && bob);
  EXPECT_NE(alice->id, bob->id);
  EXPECT_FALSE(alice->psk.equals(bob->psk.view()));
  EXPECT_GE(alice->created, before);
  EXPECT_EQ(alice->expires, alice->created + 86400);
  EXPECT_EQ(bob->expires, 0);

  const auto loaded = open().load_invites();
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->size(), 2U);
  EXPECT_EQ(loaded->front().name, "alice");
  EXPECT_EQ(loaded->front().id, alice->id);
  EXPECT_EQ(loaded->front().expires, alice->expires);
  EXPECT_EQ(loaded->front().max_devices, 2U);
  EXPECT_TRUE(loaded->front().psk.equals(alice->psk.view()));
  EXPECT_EQ(loaded->back().max_devices, 64U);
}

TEST_F(InvitesTest, WrongRequestsChangeNothing) {
  StateDirectory state = open();
  ASSERT_TRUE(state.add_invite("alice", std::nullopt, 5));
  const auto version = state.invites_version();
  const std::vector<std::string> names = {"", "a b", "a/b", "a\n", "\xc3\xa4", "alice", std::string(65, 'a')};
  for (const std::string& name : names) {
    const auto refused = state.add_invite(name, std::nullopt, 5);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  }
  EXPECT_FALSE(state.add_invite("b", std::chrono::seconds(0), 5));
  EXPECT_FALSE(state.add_invite("b", std::chrono::seconds(-1), 5));
  EXPECT_FALSE(state.add_invite("b", std::chrono::seconds::max(), 5));
  EXPECT_FALSE(state.add_invite("b", std::nullopt, 0));
  EXPECT_FALSE(state.add_invite("b", std::nullopt, kMaxDevices + 1));
  EXPECT_EQ(state.invites_version(), version);
}

TEST_F(InvitesTest, RevokedOnesAreGone) {
  StateDirectory state = open();
  const auto alice = state.add_invite("alice", std::nullopt, 5);
  ASSERT_TRUE(alice);
  const auto id = state.revoke_invite("alice");
  ASSERT_TRUE(id);
  EXPECT_EQ(*id, alice->id);
  EXPECT_TRUE(state.load_invites()->empty());
  EXPECT_EQ(state.revoke_invite("alice").error().kind, ErrorKind::kUsage);
  EXPECT_EQ(state.pin_device(alice->id, device(1), now()).error().kind, ErrorKind::kRefused);
  const auto again = state.add_invite("alice", std::nullopt, 5);
  ASSERT_TRUE(again);
  EXPECT_NE(again->id, alice->id);  // the old link stays dead
}

TEST_F(InvitesTest, AFileThatIsMissingIsNoDecisionOfAnExitInUse) {
  StateDirectory state = open();
  ASSERT_TRUE(state.load_invites()) << "a first start";
  const auto alice = state.add_invite("alice", std::nullopt, 2);
  ASSERT_TRUE(alice);
  ASSERT_TRUE(state.add_usage({{alice->id, 7}}));
  ASSERT_TRUE(state.save_relays({{*parse_relay_url("wss://relay.test")}, {}}));
  fs::remove(root_.path() / kInvitesFile);
  const auto expect_missing = [](const auto& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kIo);
    EXPECT_THAT(result.error().text, HasSubstr("invites.json is missing: put it back"));
  };
  expect_missing(state.load_invites());
  expect_missing(state.add_invite("bob", std::nullopt, 2));
  expect_missing(state.revoke_invite("alice"));
  expect_missing(state.change_terms("alice", [](Terms&) { return Result<>(); }));
  expect_missing(state.pin_device(alice->id, device(1), now()));
  expect_missing(state.add_usage({{alice->id, 1}}));
  expect_missing(state.reset_usage(alice->id));
  EXPECT_FALSE(fs::exists(root_.path() / kInvitesFile));
  EXPECT_EQ(state.load_usage()->at(alice->id), 7U);
}

TEST_F(InvitesTest, PinsDevicesUpToTheLimitAndKnowsThemAgain) {
  StateDirectory state = open();
  const auto invite = state.add_invite("alice", std::nullopt, 2);
  ASSERT_TRUE(invite);
  EXPECT_TRUE(state.pin_device(invite->id, device(1), now()));
  EXPECT_TRUE(state.pin_device(invite->id, device(2), now()));
  const auto version = state.invites_version();
  EXPECT_TRUE(state.pin_device(invite->id, device(1), now()));
  EXPECT_EQ(state.pin_device(invite->id, device(3), now()).error().kind, ErrorKind::kRefused);
  EXPECT_EQ(state.invites_version(), version);
  EXPECT_THAT(open().load_invites()->front().devices, testing::ElementsAre(device(1), device(2)));
}

TEST_F(InvitesTest, AnExpiredOneTakesNoDeviceNotEvenAKnownOne) {
  StateDirectory state = open();
  const auto added = state.add_invite("alice", std::nullopt, 2);
  ASSERT_TRUE(added);
  ASSERT_TRUE(state.pin_device(added->id, device(1), now()));
  auto invites = state.load_invites();
  ASSERT_TRUE(invites);
  invites->front().expires = now() - 1;
  ASSERT_TRUE(write_file_atomically(root_.path() / kInvitesFile, encode_invites(*invites).view()));
  EXPECT_EQ(state.pin_device(added->id, device(1), now()).error().kind, ErrorKind::kRefused);
  EXPECT_EQ(state.pin_device(added->id, device(2), now()).error().kind, ErrorKind::kRefused);
}

TEST(Invite, ExpiresAtItsSecond) {
  Invite invite;
  EXPECT_FALSE(invite.expired(std::int64_t{1} << 40));
  invite.expires = 100;
  EXPECT_FALSE(invite.expired(99));
  EXPECT_TRUE(invite.expired(100));
}

TEST_F(InvitesTest, ExpireAtTheirSecondAlsoBeyond32Bits) {
  // The first seconds that a signed and an unsigned number of 32 bits can't hold.
  constexpr std::int64_t kEndOf2038 = std::int64_t{1} << 31;
  constexpr std::int64_t kEndOf2106 = std::int64_t{1} << 32;
  for (const std::int64_t last : {kEndOf2038 - 1, kEndOf2038, kEndOf2106 - 1, kEndOf2106}) {
    std::vector<Invite> invites(1);
    invites.front().name = "late";
    invites.front().psk = Key::random();
    invites.front().created = last;
    invites.front().expires = last + 1;
    const auto read = decode_invites(encode_invites(invites).view());
    ASSERT_TRUE(read) << last;
    EXPECT_EQ(read->front().created, last);
    EXPECT_FALSE(read->front().expired(last));
    EXPECT_TRUE(read->front().expired(last + 1));
  }
}

TEST_F(InvitesTest, VersionChangesWithEveryWrite) {
  StateDirectory state = open();
  std::set<std::uint64_t> seen = {state.invites_version()};
  for (int i = 0; i < 50; ++i) {  // same size each time, in quick succession
    ASSERT_TRUE(state.add_invite("x", std::nullopt, 5));
    EXPECT_TRUE(seen.insert(state.invites_version()).second);
    ASSERT_TRUE(state.revoke_invite("x"));
    EXPECT_TRUE(seen.insert(state.invites_version()).second);
  }
}

TEST_F(InvitesTest, NoMoreThanTheBound) {
  StateDirectory state = open();
  std::vector<Invite> invites(kMaxInvites);
  for (std::size_t i = 0; i < invites.size(); ++i) {
    invites[i].name = "user" + std::to_string(i);
    invites[i].id = random_array<8>();
    invites[i].max_devices = kMaxDevices;
    for (std::uint32_t n = 0; n < kMaxDevices; ++n) invites[i].devices.push_back(random_array<32>());
  }
  const SecretText largest = encode_invites(invites);
  EXPECT_LE(largest.view().size(), kMaxInvitesFile);
  ASSERT_TRUE(write_file_atomically(root_.path() / kInvitesFile, largest.view()));
  EXPECT_EQ(state.load_invites()->size(), kMaxInvites);
  EXPECT_THAT(state.add_invite("more", std::nullopt, 5).error().text, HasSubstr("1024"));
}

TEST_F(InvitesTest, TwoProcessesLoseNoneOfTheOthers) {
  constexpr int kEach = 40;
  const auto add = [this](const std::string& prefix) {
    StateDirectory state = open();
    for (int i = 0; i < kEach; ++i) {
      if (!state.add_invite(prefix + std::to_string(i), std::nullopt, 5)) return false;
    }
    return true;
  };
  const pid_t one = in_child([&] { return add("a"); });
  const pid_t two = in_child([&] { return add("b"); });
  EXPECT_TRUE(succeeded(one));
  EXPECT_TRUE(succeeded(two));
  EXPECT_EQ(open().load_invites()->size(), 2U * kEach);
}

// Each round kills a writer at another moment of its work, from the first write on.
TEST_F(InvitesTest, AKilledWriterLeavesAWholeFile) {
  constexpr int kRounds = 60;
  ASSERT_TRUE(open().add_invite("kept", std::nullopt, 5));
  for (int round = 0; round < kRounds; ++round) {
    int started[2];
    ASSERT_EQ(::pipe(started), 0);
    const pid_t writer = in_child([&] {
      StateDirectory state = open();
      while (true) {
        static_cast<void>(state.add_invite("changing", std::nullopt, 5));
        static_cast<void>(state.revoke_invite("changing"));
        if (::write(started[1], "x", 1) != 1) return false;
      }
    });
    char byte = 0;
    ASSERT_EQ(::read(started[0], &byte, 1), 1);
    ::usleep(static_cast<useconds_t>(round * 53));
    ASSERT_EQ(::kill(writer, SIGKILL), 0);
    ::waitpid(writer, nullptr, 0);
    ::close(started[0]);
    ::close(started[1]);
    const auto invites = open().load_invites();
    ASSERT_TRUE(invites) << invites.error().text;
    EXPECT_EQ(invites->front().name, "kept");
    EXPECT_LE(invites->size(), 2U);
  }
  ASSERT_TRUE(open().add_invite("last", std::nullopt, 5));  // takes the lock that a dead process held
  for (const auto& entry : fs::directory_iterator(root_.path())) {
    EXPECT_NE(entry.path().extension(), ".tmp") << "left behind by a killed writer";
  }
}

TEST_F(InvitesTest, TermsAreKeptAndChanged) {
  StateDirectory state = open();
  ASSERT_TRUE(state.add_invite("alice", std::nullopt, 2, {.allow = {"10.0.0.0/8"}, .rate_bytes = 1000}));
  ASSERT_TRUE(state.add_invite("bob", std::nullopt, 2));
  const auto version = state.invites_version();
  const auto changed = state.change_terms("alice", [](Terms& terms) -> Result<> {
    terms.quota_bytes = 7;
    return {};
  });
  ASSERT_TRUE(changed);
  EXPECT_NE(state.invites_version(), version);
  const auto invites = state.load_invites();
  ASSERT_TRUE(invites);
  EXPECT_EQ((*invites)[0].terms, (Terms{.allow = {"10.0.0.0/8"}, .rate_bytes = 1000, .quota_bytes = 7}));
  EXPECT_EQ(to_base64url((*invites)[0].psk.view()), to_base64url(changed->psk.view()))
      << "the link stays the same";
  EXPECT_EQ((*invites)[1].terms, Terms{});

  const auto unchanged = [](Terms&) -> Result<> { return {}; };
  EXPECT_EQ(state.change_terms("carol", unchanged).error().kind, ErrorKind::kUsage);
  const auto too_many = [](Terms& terms) -> Result<> {
    terms.deny.assign(kMaxRules, "10.0.0.0/8");
    return {};
  };
  EXPECT_EQ(state.change_terms("alice", too_many).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(state.add_invite("dave", std::nullopt, 2, {.allow = {std::string(kMaxRuleBytes + 1, 'a')}})
                .error()
                .kind,
            ErrorKind::kUsage);
}

TEST_F(InvitesTest, UseIsAddedUpByAllExits) {
  StateDirectory state = open();
  const auto alice = state.add_invite("alice", std::nullopt, 2);
  const auto bob = state.add_invite("bob", std::nullopt, 2);
  ASSERT_TRUE(alice && bob);
  EXPECT_TRUE(state.load_usage().value().empty());
  const auto version = state.usage_version();
  constexpr int kExits = 4;
  constexpr int kTimes = 25;
  std::vector<pid_t> exits;
  for (int i = 0; i < kExits; ++i) {
    exits.push_back(in_child([&] {
      for (int j = 0; j < kTimes; ++j) {
        if (!state.add_usage({{alice->id, 3}})) return false;
      }
      return true;
    }));
  }
  for (const pid_t pid : exits) EXPECT_TRUE(succeeded(pid));
  EXPECT_NE(state.usage_version(), version);
  const auto usage = state.add_usage({{bob->id, kMaxUsedBytes}, {InviteId{9}, 5}});
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->at(alice->id), std::uint64_t{3} * kExits * kTimes);
  EXPECT_FALSE(usage->contains(InviteId{9})) << "no such invite";
  EXPECT_EQ(state.add_usage({{bob->id, kMaxUsedBytes}})->at(bob->id), kMaxUsedBytes) << "it does not wrap";
  ASSERT_TRUE(state.reset_usage(bob->id));
  EXPECT_FALSE(state.load_usage()->contains(bob->id));
  ASSERT_TRUE(state.revoke_invite("alice"));
  EXPECT_TRUE(state.add_usage({})->empty()) << "what a revoked invite used is forgotten";
}

}  // namespace
}  // namespace zks::link
