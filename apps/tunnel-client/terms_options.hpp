// SPDX-License-Identifier: MIT
//
// The options of `invite` and `limit` that say what one invite may reach and use, and how `invites` shows
// them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "link/terms.hpp"
#include "ops/options.hpp"

namespace zks::app {

// What was given; the rest stays as it is. 0 and an empty list: "none".
struct TermsOptions {
  std::optional<std::vector<std::string>> allow;
  std::optional<std::vector<std::string>> deny;
  std::optional<std::vector<std::string>> allow_listen;
  std::optional<std::uint64_t> max_streams;
  std::optional<std::uint64_t> stream_rate;
  std::optional<std::uint64_t> rate_bytes;
  std::optional<std::uint64_t> quota_bytes;

  bool empty() const;
  void apply(link::Terms& terms) const;
};

// Lifetime: `options` outlives `app`.
void add_terms(CLI::App& app, TermsOptions& options);

// As they would stand on a command line: "--allow 10.0.0.0/8 --rate 1048576"; empty when there are none.
std::string describe_terms(const link::Terms& terms);

// "512", "1.5KiB", "20GiB".
std::string describe_bytes(std::uint64_t bytes);

}  // namespace zks::app
