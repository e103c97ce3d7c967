// SPDX-License-Identifier: MIT
#include "relay/backlog.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::relay {
namespace {

class FakePair final : public Backlog::Pair {
 public:
  explicit FakePair(std::size_t bytes) : bytes_(bytes) {}
  std::size_t held_bytes() const override { return bytes_; }
  void give_way() override {
    ended = true;
    bytes_ = 0;
  }

  bool ended = false;

 private:
  std::size_t bytes_;
};

class BacklogTest : public testing::Test {
 protected:
  void add(std::initializer_list<FakePair*> pairs) {
    for (FakePair* pair : pairs) backlog_->add(pair);
  }

  boost::asio::io_context loop_;
  std::shared_ptr<Backlog> backlog_ = std::make_shared<Backlog>(loop_.get_executor(), std::size_t{1} << 20);
};

TEST_F(BacklogTest, BeyondTheBudgetTheHeaviestGiveWay) {
  FakePair light(100'000), heavy(900'000), heavier(1'000'000);
  add({&light, &heavy, &heavier});
  while (!heavier.ended) loop_.run_one();
  EXPECT_TRUE(!light.ended && !heavy.ended);
}

TEST_F(BacklogTest, WithoutMemoryTheHeaviestGivesWay) {
  FakePair light(100'000), heavy(200'000);
  add({&light, &heavy});
  backlog_->relieve();
  EXPECT_TRUE(heavy.ended);
  EXPECT_FALSE(light.ended);
  backlog_->relieve();
  EXPECT_TRUE(light.ended);
}

TEST_F(BacklogTest, APairThatHoldsLittleIsNotWorthEnding) {
  FakePair light(1'000);
  add({&light});
  backlog_->relieve();
  EXPECT_FALSE(light.ended);
  backlog_->remove(&light);
  backlog_->relieve();
}

}  // namespace
}  // namespace zks::relay
