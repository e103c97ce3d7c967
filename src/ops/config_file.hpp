// SPDX-License-Identifier: MIT
//
// The file of --config: TOML with the long names of the options as keys, without sections. CommandLine
// (options.hpp) hands it to CLI11, where the command line wins over the file and a key that no option has is
// an error.
//
//   listen = "127.0.0.1:1080"
//   log-json = true
//   header = ["X-One: 1", "X-Two: 2"]
#pragma once

#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/result.hpp"

namespace zks::ops {

inline constexpr std::size_t kMaxConfigBytes = 256 * 1024;

// kUsage, saying where and what is wrong without repeating values, which may be secrets.
Result<std::vector<CLI::ConfigItem>> parse_config(std::string_view toml);

// CLI11's view of parse_config(). Lifetime: shared with the CLI::App that it was given to.
class ConfigFile final : public CLI::Config {
 public:
  // CLI11 asks for this only where a program writes its options to a file, which ours do not: always empty.
  std::string to_config(const CLI::App* app, bool defaults, bool descriptions,
                        std::string prefix) const override;
  // Throws CLI::ConfigError, as CLI11 expects.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
};

}  // namespace zks::ops
