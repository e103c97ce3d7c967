// SPDX-License-Identifier: MIT
//
// What ends access is what somebody decided: not a file that is missing or damaged, not a clock that jumped.
#include "exit/invite_store.hpp"

#include <filesystem>
#include <fstream>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "../support/temporary_directory.hpp"
#include "link/state_files.hpp"

namespace zks::exit {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::run;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kYearSeconds = 365 * 86'400;

ExpiryClock::Readings readings;

tunnel::Claim claim_of(const link::Invite& invite, std::uint8_t device) {
  tunnel::Claim claim{invite.id, {}};
  claim.client_key.fill(device);
  return claim;
}

class InviteStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    readings = {std::time(nullptr), 1000};
    auto state = link::StateDirectory::open(root_.path());
    ASSERT_TRUE(state);
    state_.emplace(*state);
    auto invite = state_->add_invite("alice", 1h, 2);
    ASSERT_TRUE(invite);
    alice_ = std::move(*invite);
    ASSERT_TRUE(state_->save_relays({{*parse_relay_url("wss://relay.test")}, {}}));
    store_ = std::make_unique<InviteStore>(
        *state_, loop_.get_executor(), std::make_shared<Policy>(Rules{}),
        std::make_shared<StateWriter>(loop_.get_executor()), +[] { return readings; });
    ASSERT_TRUE(store_->refresh());
    known_ = claim_of(alice_, 1);
    ASSERT_TRUE(admit(known_));
  }

  Result<> admit(const tunnel::Claim& claim) { return run(loop_, store_->admit(claim)); }
  bool save() {
    const auto keep = boost::asio::make_work_guard(loop_);
    bool saved = false;
    store_->finish([&] {
      saved = true;
      loop_.stop();
    });
    loop_.restart();
    if (!saved) loop_.run_for(20s);
    return saved && store_->faults().empty();
  }

  fs::path file(const char* name) const { return root_.path() / name; }
  static std::string read(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const fs::path& path, const std::string& content) {
    ASSERT_TRUE(write_file_atomically(path, content));
  }
  // Who was in stays and may come back, nobody else comes in, and neither is told that the link is wrong.
  void expect_fault(const std::string& words) {
    EXPECT_FALSE(store_->refresh());
    EXPECT_THAT(store_->faults(), ElementsAre(HasSubstr(words)));
    EXPECT_TRUE(store_->welcome(known_));
    EXPECT_TRUE(store_->authorize(known_, true));
    const auto newcomer = store_->authorize(known_, false);
    ASSERT_FALSE(newcomer);
    EXPECT_NE(newcomer.error().kind, ErrorKind::kRefused);
  }
  void expect_no_fault() {
    EXPECT_TRUE(store_->refresh());
    EXPECT_THAT(store_->faults(), IsEmpty());
    EXPECT_TRUE(store_->authorize(known_, false));
  }

  test::TemporaryDirectory root_;
  boost::asio::io_context loop_;
  std::optional<link::StateDirectory> state_;
  link::Invite alice_;
  tunnel::Claim known_;
  std::unique_ptr<InviteStore> store_;
};

TEST_F(InviteStoreTest, AMissingFileDecidesNothing) {
  fs::rename(file(link::kInvitesFile), file("away"));
  expect_fault("invites.json is missing");
  EXPECT_FALSE(admit(claim_of(alice_, 2)));
  EXPECT_EQ(state_->invites_version(), 0U) << "nobody may make a new one in its place";
  fs::rename(file("away"), file(link::kInvitesFile));
  expect_no_fault();
}

TEST_F(InviteStoreTest, NeitherDoesAMissingDirectory) {
  fs::path away = root_.path();
  away += "-away";
  fs::rename(root_.path(), away);
  expect_fault("invites.json is missing");
  fs::rename(away, root_.path());
  expect_no_fault();
}

TEST_F(InviteStoreTest, NorADamagedOneOrOneOfAnotherVersion) {
  const std::string good = read(file(link::kInvitesFile));
  std::string other = good;
  other.replace(other.find("\"version\": 1"), 12, "\"version\": 2");
  const std::pair<std::string, const char*> damages[] = {
      {"", "damaged"}, {good.substr(0, good.size() / 2), "damaged"}, {other, "another version"}};
  for (const auto& [content, words] : damages) {
    write(file(link::kInvitesFile), content);
    expect_fault(words);
    write(file(link::kInvitesFile), good);
    expect_no_fault();
  }
}

TEST_F(InviteStoreTest, ARevocationIsADecisionAndTakesAtOnce) {
  ASSERT_TRUE(state_->revoke_invite("alice"));
  ASSERT_TRUE(store_->refresh());
  EXPECT_FALSE(store_->welcome(known_));
  for (const bool running : {false, true}) {
    const auto answer = store_->authorize(known_, running);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kRefused);
  }
}

TEST_F(InviteStoreTest, ADamagedCountOfWhatWasUsedKeepsNewcomersOutAndNobodyElse) {
  write(file(link::kUsageFile), "{\"version\":1,\"used\":");
  expect_fault("usage.json");
  fs::remove(file(link::kUsageFile));
  expect_no_fault();
}

TEST_F(InviteStoreTest, ACountThatIsDeletedGivesNoNewQuota) {
  ASSERT_TRUE(state_->add_usage({{alice_.id, 1000}}));
  ASSERT_TRUE(store_->refresh());
  const auto allowance = store_->allowance(known_);
  EXPECT_EQ(allowance->used_bytes(), 1000U);
  fs::remove(file(link::kUsageFile));
  ASSERT_TRUE(store_->refresh());
  EXPECT_EQ(allowance->used_bytes(), 1000U);
  ASSERT_TRUE(save());
  EXPECT_EQ(state_->load_usage()->at(alice_.id), 1000U);
}

TEST_F(InviteStoreTest, WhatWasUsedIsWrittenDownOnce) {
  const auto allowance = store_->allowance(known_);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(allowance->take_datagram(tunnel::Meter::Direction::kUp, 10));
    const std::uint64_t used = allowance->used_bytes();  // a small datagram has a price of its own
    EXPECT_EQ(allowance->unsaved_bytes(), used / static_cast<std::uint64_t>(i + 1));
    ASSERT_TRUE(save());
    ASSERT_TRUE(store_->refresh());
    EXPECT_EQ(allowance->used_bytes(), used);
    EXPECT_EQ(allowance->unsaved_bytes(), 0U);
    EXPECT_EQ(state_->load_usage()->at(alice_.id), used);
  }
}

TEST_F(InviteStoreTest, ANewDeviceThatCanNotBeWrittenDownIsToldLaterAndTheFaultIsOverWithTheNextWrite) {
  fs::remove(file(link::kLockFile));
  fs::create_directory(file(link::kLockFile));  // nobody can lock it
  const auto refused = admit(claim_of(alice_, 2));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().kind, ErrorKind::kRefused);
  EXPECT_THAT(store_->faults(), ElementsAre(HasSubstr("lock")));
  EXPECT_TRUE(admit(known_)) << "it is pinned";
  fs::remove(file(link::kLockFile));
  EXPECT_TRUE(save());
  EXPECT_TRUE(admit(claim_of(alice_, 2)));
}

TEST_F(InviteStoreTest, AnInviteEndsWithItsTimeNotWithAJumpOfTheClock) {
  for (const std::int64_t jump : {kYearSeconds, -kYearSeconds}) {
    readings = {readings.wall + jump, readings.steady + 3};
    ASSERT_TRUE(store_->refresh());
    EXPECT_TRUE(store_->welcome(known_));
    EXPECT_TRUE(store_->authorize(known_, false));
    readings = {readings.wall - jump, readings.steady + 3};
    ASSERT_TRUE(store_->refresh());
    EXPECT_TRUE(store_->welcome(known_));
  }
  readings = {readings.wall + 3700, readings.steady + 3700};  // a second may have begun in SetUp()
  ASSERT_TRUE(store_->refresh());
  EXPECT_FALSE(store_->welcome(known_));
  EXPECT_EQ(store_->authorize(known_, true).error().kind, ErrorKind::kRefused);
}

}  // namespace
}  // namespace zks::exit
