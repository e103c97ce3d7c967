// SPDX-License-Identifier: MIT
//
// Counts one of what is under way for as long as it lives: also where that ends by an exception, or is a
// coroutine that lacks memory and is destroyed where it stands (on_end.hpp). A count by hand would stay up
// then, and what it bounds would be refused from some time on.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace zks::net {

class Counted {
 public:
  // Executor: one, the count's. Lifetime: `count` is held, which may be a member of what holds it.
  explicit Counted(std::shared_ptr<std::size_t> count) : count_(std::move(count)) { ++*count_; }
  ~Counted() { over(); }
  Counted(Counted&&) noexcept = default;
  Counted& operator=(Counted&&) = delete;

  void over() {
    if (count_) --*std::exchange(count_, nullptr);
  }

 private:
  std::shared_ptr<std::size_t> count_;
};

}  // namespace zks::net
