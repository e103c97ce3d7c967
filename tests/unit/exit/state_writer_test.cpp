// SPDX-License-Identifier: MIT
#include "exit/state_writer.hpp"

#include <future>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::exit {
namespace {

using namespace std::chrono_literals;

// What a disk does that hangs.
struct Hang {
  std::promise<void> promise;
  std::shared_future<void> over = promise.get_future().share();
};

TEST(StateWriter, WorksElsewhereInOrderAndTellsHere) {
  boost::asio::io_context loop;
  const auto keep = boost::asio::make_work_guard(loop);
  StateWriter writer(loop.get_executor());
  const auto here = std::this_thread::get_id();
  std::vector<int> order;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(writer.run<std::thread::id>([] { return std::this_thread::get_id(); },
                                            [&, i](std::thread::id there) {
                                              EXPECT_NE(there, here);
                                              EXPECT_EQ(std::this_thread::get_id(), here);
                                              order.push_back(i);
                                              if (order.size() == 10) loop.stop();
                                            }));
  }
  loop.run_for(20s);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(StateWriter, IsBounded) {
  boost::asio::io_context loop;
  StateWriter writer(loop.get_executor());
  Hang hang;
  std::promise<void> begun;
  ASSERT_TRUE(writer.run<int>(
      [&begun, over = hang.over] {
        begun.set_value();
        over.wait();
        return 0;
      },
      [](int) {}));
  begun.get_future().wait();
  const std::function<int()> nothing = [] { return 0; };
  for (std::size_t i = 0; i < StateWriter::kMaxJobs; ++i) EXPECT_TRUE(writer.run<int>(nothing, [](int) {}));
  EXPECT_FALSE(writer.run<int>(nothing, [](int) {}));
  hang.promise.set_value();
}

TEST(StateWriter, ItsEndWaitsForNothingAndTellsNothing) {
  Hang hang;
  bool told = false;
  const auto kept = std::make_shared<int>(0);
  {
    boost::asio::io_context loop;
    std::promise<void> begun;
    {
      StateWriter writer(loop.get_executor());
      ASSERT_TRUE(writer.run<int>(
          [&begun, over = hang.over] {
            begun.set_value();
            over.wait();
            return 0;
          },
          [&told, kept](int) { told = true; }));
      ASSERT_TRUE(writer.run<int>([] { return 0; }, [&told, kept](int) { told = true; }));
      begun.get_future().wait();
    }
    EXPECT_EQ(kept.use_count(), 1) << "what was to be told belongs to this thread";
    loop.run_for(20ms);
  }
  hang.promise.set_value();  // the thread goes on after the loop is gone
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace zks::exit
