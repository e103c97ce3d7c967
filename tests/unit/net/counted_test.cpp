// SPDX-License-Identifier: MIT
//
// However what is counted ends, the count is as before.
#include "net/counted.hpp"

#include <new>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "net/spawn.hpp"

namespace zks::net {
namespace {

namespace asio = boost::asio;

struct Owner {
  std::size_t under_way = 0;
};

Counted one_of(const std::shared_ptr<Owner>& owner) {
  return Counted(owner, owner->under_way);
}

asio::awaitable<void> wait_for_ever(Counted counted, bool fails) {
  if (fails) throw std::bad_alloc();
  asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  [[maybe_unused]] const auto [ec] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  counted.over();
}

TEST(CountedTest, CountsForAsLongAsItLives) {
  const auto owner = std::make_shared<Owner>();
  {
    const Counted one = one_of(owner);
    const Counted two = one_of(owner);
    EXPECT_EQ(owner->under_way, 2U);
  }
  EXPECT_EQ(owner->under_way, 0U);
}

TEST(CountedTest, IsOverOnce) {
  const auto owner = std::make_shared<Owner>();
  const Counted other = one_of(owner);
  Counted counted = one_of(owner);
  counted.over();
  counted.over();
  EXPECT_EQ(owner->under_way, 1U);
}

TEST(CountedTest, MovesWithoutBeingCountedTwice) {
  const auto owner = std::make_shared<Owner>();
  std::optional<Counted> first(one_of(owner));
  const Counted second = std::move(*first);
  EXPECT_EQ(owner->under_way, 1U);
  first.reset();
  EXPECT_EQ(owner->under_way, 1U);
}

TEST(CountedTest, HoldsWhatItsCountIsIn) {
  auto owner = std::make_shared<Owner>();
  const std::weak_ptr<Owner> weak = owner;
  std::optional<Counted> counted(one_of(owner));
  owner.reset();
  EXPECT_FALSE(weak.expired());
  counted.reset();
  EXPECT_TRUE(weak.expired());
}

TEST(CountedTest, EndsWithACoroutineThatFailsOrIsDestroyed) {
  const auto owner = std::make_shared<Owner>();
  {
    asio::io_context loop;
    asio::co_spawn(loop, wait_for_ever(one_of(owner), /*fails=*/true), RethrowFailure{});
    asio::co_spawn(loop, wait_for_ever(one_of(owner), /*fails=*/false), RethrowFailure{});
    EXPECT_EQ(owner->under_way, 2U);
    EXPECT_THROW(loop.poll(), std::bad_alloc);
    loop.poll();
    EXPECT_EQ(owner->under_way, 1U);
  }
  EXPECT_EQ(owner->under_way, 0U);
}

}  // namespace
}  // namespace zks::net
