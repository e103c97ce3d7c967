// SPDX-License-Identifier: MIT
//
// Coroutines that lack memory: their owners are told, and the loop runs on.
#include "net/on_end.hpp"

#include <new>
#include <stdexcept>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "net/run_loop.hpp"

namespace zks::net {
namespace {

namespace asio = boost::asio;

enum class Lacks { kNothing, kWithin, kToBeginAnOperation, kWhileOneIsUnderWay };

// An operation of more than one step, whose later one throws in a handler of its own, as Beast's do.
template <class Handler>
void begin(Handler handler, asio::any_io_executor executor, Lacks lacks) {
  if (lacks == Lacks::kToBeginAnOperation) throw std::bad_alloc();
  asio::post(executor, [handler = std::move(handler), lacks]() mutable {
    if (lacks == Lacks::kWhileOneIsUnderWay) throw std::bad_alloc();
    handler();
  });
}

asio::awaitable<void> work(asio::any_io_executor executor, Lacks lacks, int* destroyed) {
  struct Local {
    int* destroyed;
    ~Local() { ++*destroyed; }
  } local{destroyed};
  if (lacks == Lacks::kWithin) throw std::bad_alloc();
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [](auto handler, asio::any_io_executor on, Lacks what) { begin(std::move(handler), on, what); },
      asio::use_awaitable, executor, lacks);
}

class OnEndTest : public testing::TestWithParam<Lacks> {};

TEST_P(OnEndTest, IsCalledOnceHoweverItEnds) {
  asio::io_context loop;
  int destroyed = 0;
  int others = 0;
  std::vector<std::exception_ptr> ends;
  const auto over = [&](const std::exception_ptr& failure) {
    EXPECT_EQ(destroyed, 1) << "nothing of it runs on";
    ends.push_back(failure);
  };
  asio::co_spawn(loop, work(loop.get_executor(), GetParam(), &destroyed), OnEnd(loop.get_executor(), over));
  asio::post(loop, [&others] { ++others; });
  run_loop(loop);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(others, 1);
  if (GetParam() == Lacks::kNothing) {
    EXPECT_FALSE(ends[0]);
  } else {
    ASSERT_TRUE(ends[0]);
    EXPECT_THROW(std::rethrow_exception(ends[0]), std::bad_alloc);
  }
}

INSTANTIATE_TEST_SUITE_P(Memory, OnEndTest,
                         testing::Values(Lacks::kNothing, Lacks::kWithin, Lacks::kToBeginAnOperation,
                                         Lacks::kWhileOneIsUnderWay));

TEST(OnEnd, OfALoopThatIsDestroyedSaysNothing) {
  int calls = 0;
  {
    asio::io_context loop;
    int destroyed = 0;
    asio::co_spawn(loop, work(loop.get_executor(), Lacks::kNothing, &destroyed),
                   OnEnd(loop.get_executor(), [&calls](const std::exception_ptr&) { ++calls; }));
  }
  EXPECT_EQ(calls, 0);
}

// Two coroutines that one handler wakes.
TEST(RunLoop, GoesOnWhereSeveralLackMemoryAtOnce) {
  asio::io_context loop;
  int others = 0;
  asio::post(loop, [&loop] {
    for (int i = 0; i < 2; ++i) {
      asio::dispatch(loop, [] { throw std::bad_alloc(); });
    }
  });
  asio::post(loop, [&others] { ++others; });
  run_loop(loop);
  EXPECT_EQ(others, 1);
}

TEST(RunLoop, OtherExceptionsAreTheCallers) {
  asio::io_context loop;
  asio::post(loop, [] { throw std::runtime_error("broken"); });
  EXPECT_THROW(run_loop(loop), std::runtime_error);
}

}  // namespace
}  // namespace zks::net
