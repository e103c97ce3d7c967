// SPDX-License-Identifier: MIT
#include "ops/options.hpp"

#include <cstdio>
#include <memory>

#include "base/log.hpp"
#include "base/log_output.hpp"
#include "ops/config_file.hpp"
#include "ops/units.hpp"

namespace zks::ops {
namespace {

constexpr int kWrongUsage = 2;

// The names of the options among what CLI11 could not place. Their values, and arguments that are not
// options, may be links and passwords and are not repeated.
std::string describe_extras(const std::vector<std::string>& extras) {
  std::string names;
  for (const std::string& extra : extras) {
    if (!extra.starts_with('-')) continue;
    names += (names.empty() ? "" : ", ") + extra.substr(0, extra.find('='));
  }
  if (!names.empty()) return "unknown option " + names;
  return extras.size() == 1 ? "one argument too many" : std::to_string(extras.size()) + " arguments too many";
}

std::string describe_config_error(std::string_view text) {
  constexpr std::string_view kUnknown = "INI was not able to parse ";
  if (!text.starts_with(kUnknown)) return std::string(text);
  return "the file of --config: there is no option " + std::string(text.substr(kUnknown.size()));
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

CommandLine::CommandLine(std::string name, std::string purpose, std::string examples)
    : app_(std::move(purpose), name), name_(std::move(name)) {
  app_.footer(std::move(examples));
  app_.option_defaults()->always_capture_default();
  const std::string program = name_.substr(0, name_.find(' '));
  app_.set_version_flag("--version", program + " " ZKS_VERSION, "print the version and exit");
  app_.set_help_flag("-h,--help", "print this help and exit");
  app_.set_config("--config", "",
                  "read options from this TOML file; keys are the long names, the command line wins")
      ->type_name("FILE");
  app_.config_formatter(std::make_shared<ConfigFile>());
  app_.allow_config_extras(CLI::config_extras_mode::error);
}

void CommandLine::add_log_options() {
  const auto parse_level = [](std::string_view text) -> Result<std::string> {
    for (const std::string_view level : {"trace", "debug", "info", "warn", "error", "off"}) {
      if (text == level) return std::string(text);
    }
    return make_error(ErrorKind::kUsage, "not one of trace, debug, info, warn, error, off");
  };
  add_parsed<std::string>(app_, "--log-level", log_level_, parse_level,
                          "trace, debug, info, warn, error or off", "LEVEL")
      ->default_str(log_level_);
  app_.add_flag("--log-json", log_json_, "log one JSON object a line");
}

std::optional<int> CommandLine::parse(int argc, const char* const* argv) {
  const auto wrong = [this](std::string text) {
    return fail(make_error(ErrorKind::kUsage, std::move(text)));
  };
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help or --version
    app_.exit(success);
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const CLI::ExtrasError&) {
    return wrong(describe_extras(app_.remaining()));
  } catch (const CLI::ConfigError& error) {
    return wrong(describe_config_error(error.what()));
  } catch (const CLI::ConversionError& error) {
    const std::string text = error.what();  // "Could not convert: --option = value"
    return wrong(text.substr(0, text.find(" =")));
  } catch (const CLI::ParseError& error) {
    return wrong(error.what());
  }
  if (!log::set_up(log_level_, log_json_)) return wrong("--log-level: " + log_level_);
  return std::nullopt;
}

int CommandLine::fail(const Error& error) const {
  const int status = exit_status(error);
  std::string line = name_ + ": " + one_line(error.text);
  if (status == kWrongUsage) line += "; try '" + name_ + " --help'";
  log::write_line(line + "\n");  // behind what the log has said
  return status;
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::size_t& value, std::uint64_t low,
                       std::uint64_t high, const std::string& help) {
  const auto parse = [low, high](std::string_view text) { return parse_count(text, low, high); };
  return add_parsed<std::uint64_t>(app, name, value, parse, help, "N")->default_str(std::to_string(value));
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::seconds& value,
                          const std::string& help) {
  return add_parsed<std::chrono::seconds>(app, name, value, parse_duration, help, "DURATION")
      ->default_str(std::to_string(value.count()) + "s");
}

CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::uint64_t& value,
                       const std::string& help) {
  return add_parsed<std::uint64_t>(app, name, value, parse_bytes, help, "BYTES")
      ->default_str(std::to_string(value));
}

}  // namespace zks::ops
