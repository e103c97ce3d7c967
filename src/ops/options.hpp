// SPDX-License-Identifier: MIT
//
// The command line that all programs share: --help, --version, --config, the log's options, options with a
// parser of ours, and one way to say what is wrong. Built on CLI11; a program adds its own options to app().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/result.hpp"

namespace zks::ops {

class CommandLine {
 public:
  // `name` is the program and, where it has one, its mode: "zks-tunnel-client socks5". `purpose` and
  // `examples` are what --help says first and last.
  CommandLine(std::string name, std::string purpose, std::string examples);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App& app() { return app_; }

  // --log-level and --log-json; parse() sets the log up with them.
  void add_log_options();

  // std::nullopt: go on. Otherwise the program ends with this status: 0 after --help and --version, 2 after a
  // wrong option, about which one line was printed. argv[0] is skipped.
  std::optional<int> parse(int argc, const char* const* argv);

  // After parse(): whether options came from a file of --config.
  bool has_config_file() const { return app_.get_config_ptr()->count() > 0; }

  // Prints `error` as one line that begins with the program's name; the exit status for it. A usage error
  // also says where help is.
  int fail(const Error& error) const;

 private:
  CLI::App app_;
  std::string name_;
  std::string log_level_ = "info";
  bool log_json_ = false;
};

template <class T>
using Parser = std::function<Result<T>(std::string_view)>;

// An option whose text goes through `parse`; its error becomes the usage error. `value` keeps what it holds
// when the option is not given. `type` is what --help calls the value. T may be move-only.
template <class T, class Target>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, Target& value, Parser<T> parse,
                        const std::string& help, const std::string& type) {
  const auto take = [name, &value, parse = std::move(parse)](const std::string& text) {
    Result<T> parsed = parse(text);
    if (!parsed) throw CLI::ValidationError(name, parsed.error().text);
    value = std::move(*parsed);
  };
  return app.add_option_function<std::string>(name, take, help)->type_name(type);
}

// The same for an option that may be given several times, each time with one value.
template <class T>
CLI::Option* add_parsed_list(CLI::App& app, const std::string& name, std::vector<T>& values, Parser<T> parse,
                             const std::string& help, const std::string& type) {
  const auto take = [name, &values, parse = std::move(parse)](const std::vector<std::string>& texts) {
    values.clear();
    for (const std::string& text : texts) {
      Result<T> parsed = parse(text);
      if (!parsed) throw CLI::ValidationError(name, parsed.error().text);
      values.push_back(std::move(*parsed));
    }
  };
  // allow_extra_args(false): otherwise "--header X LINK" would take LINK for a second header.
  return app.add_option_function<std::vector<std::string>>(name, take, help)
      ->type_name(type)
      ->allow_extra_args(false);
}

// A whole number within [low, high]; --help shows the present value as the default.
CLI::Option* add_count(CLI::App& app, const std::string& name, std::size_t& value, std::uint64_t low,
                       std::uint64_t high, const std::string& help);
// 90s, 15m, 12h, 30d, 2w.
CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::seconds& value,
                          const std::string& help);
// 64MiB and the like.
CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& help);

}  // namespace zks::ops
