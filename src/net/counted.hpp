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
  // Executor: one, the count's. Lifetime: `owner`, whose member `count` is, is held.
  template <class Owner>
  Counted(std::shared_ptr<Owner> owner, std::size_t& count) : count_(std::move(owner), &count) {
    ++count;
  }
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
