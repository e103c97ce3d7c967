// SPDX-License-Identifier: MIT
//
// The windowed maximum filter of BBR (draft-ietf-ccwg-bbr): the greatest of what was seen in
// the last round trips. lane_window.hpp keeps its bandwidth in it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

namespace zks::session {

template <std::size_t Rounds>
class MaxFilter {
 public:
  void update(double sample) { of_round() = std::max(of_round(), sample); }
  // What was seen Rounds round trips ago counts no more.
  void next_round() {
    ++round_;
    of_round() = 0;
  }
  void forget_earlier_rounds() {
    rounds_ = {of_round()};
    round_ = 0;
  }
  double max() const { return *std::max_element(rounds_.begin(), rounds_.end()); }

 private:
  double& of_round() { return rounds_[round_ % Rounds]; }

  std::array<double, Rounds> rounds_{};  // the greatest of each
  std::size_t round_ = 0;
};

}  // namespace zks::session
