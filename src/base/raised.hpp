// SPDX-License-Identifier: MIT
//
// A flag that is up for as long as something lasts, also where that ends by an exception, or is a coroutine
// that lacks memory and is destroyed where it stands (net/on_end.hpp).
#pragma once

namespace zks {

// Lifetime: dies before its flag.
class Raised {
 public:
  explicit Raised(bool& flag) : flag_(flag) { flag_ = true; }
  ~Raised() { flag_ = false; }
  Raised(const Raised&) = delete;
  Raised& operator=(const Raised&) = delete;

 private:
  bool& flag_;
};

}  // namespace zks
