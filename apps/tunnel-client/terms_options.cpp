// SPDX-License-Identifier: MIT
#include "terms_options.hpp"

#include <cstdio>

#include "exit/listen_rules.hpp"
#include "exit/policy.hpp"
#include "ops/units.hpp"

namespace zks::app {
namespace {

constexpr std::string_view kNone = "none";

// `parse`, or "none" for 0; with "/s" after it where that is said.
ops::Parser<std::uint64_t> limit_parser(Result<std::uint64_t> (*parse)(std::string_view),
                                        std::uint64_t highest, bool a_second) {
  return [parse, highest, a_second](std::string_view text) -> Result<std::uint64_t> {
    if (text == kNone) return 0;
    if (a_second && text.ends_with("/s")) text.remove_suffix(2);
    const auto value = parse(text);
    if (!value) return value.error();
    if (*value == 0 || *value > highest) {
      return make_error(ErrorKind::kUsage, "from 1 to " + std::to_string(highest) + ", or none for no limit");
    }
    return *value;
  };
}

Result<std::uint64_t> parse_number(std::string_view text) {
  return ops::parse_count(text, 1, link::kMaxStreams);
}

template <class Rule>
Result<std::string> check_rule(std::string_view text, Result<Rule> (*parse)(std::string_view)) {
  if (text != kNone) {
    if (const auto rule = parse(text); !rule) return rule.error();
  }
  return std::string(text);
}

template <class Rule>
void add_rules(CLI::App& app, const char* name, std::optional<std::vector<std::string>>& rules,
               Result<Rule> (*parse)(std::string_view), const char* type, const char* help) {
  const auto take = [name, &rules, parse](const std::vector<std::string>& texts) {
    rules.emplace();
    for (const std::string& text : texts) {
      const auto rule = check_rule(text, parse);
      if (!rule) throw CLI::ValidationError(name, rule.error().text);
      if (*rule != kNone) rules->push_back(*rule);
    }
  };
  app.add_option_function<std::vector<std::string>>(name, take, help)
      ->type_name(type)
      ->allow_extra_args(false);
}

void add_words(std::string& out, const char* option, const std::string& value) {
  out += (out.empty() ? "" : " ") + std::string(option) + " " + value;
}

}  // namespace

bool TermsOptions::empty() const {
  return !allow && !deny && !allow_listen && !max_streams && !stream_rate && !rate_bytes && !quota_bytes;
}

void TermsOptions::apply(link::Terms& terms) const {
  terms.allow = allow.value_or(terms.allow);
  terms.deny = deny.value_or(terms.deny);
  terms.allow_listen = allow_listen.value_or(terms.allow_listen);
  terms.max_streams = max_streams.value_or(terms.max_streams);
  terms.stream_rate = stream_rate.value_or(terms.stream_rate);
  terms.rate_bytes = rate_bytes.value_or(terms.rate_bytes);
  terms.quota_bytes = quota_bytes.value_or(terms.quota_bytes);
}

void add_terms(CLI::App& app, TermsOptions& options) {
  add_rules(app, "--allow", options.allow, &exit::parse_rule, "CIDR|HOST:PORT",
            "let this user reach this too, as --allow of exit-peer does for all; repeatable");
  add_rules(app, "--deny", options.deny, &exit::parse_rule, "CIDR|HOST:PORT",
            "keep this user from this; stronger than every --allow; repeatable");
  add_rules(
      app, "--allow-listen", options.allow_listen, &exit::parse_listen_rule, "[ADDR:]PORT[-PORT]",
      "let this user have this port of the exit's machine for -R, as --allow-listen of exit-peer does for "
      "all; repeatable");
  const auto limit = [&app](const char* name, std::optional<std::uint64_t>& value,
                            const ops::Parser<std::uint64_t>& parse, const char* help, const char* type) {
    ops::add_parsed<std::uint64_t>(app, name, value, parse, help, type);
  };
  limit("--max-streams", options.max_streams, limit_parser(parse_number, link::kMaxStreams, false),
        "connections at once, of all devices together; default: none, so --max-streams of the exit for each",
        "N");
  limit("--stream-rate", options.stream_rate, limit_parser(parse_number, link::kMaxStreamRate, true),
        "new connections a second; more of them wait, up to 10 s, and are refused beyond; default: none",
        "N/s");
  limit("--rate", options.rate_bytes, limit_parser(ops::parse_bytes, link::kMaxRate, true),
        "bytes a second in each direction, such as 2MB/s; default: none", "BYTES/s");
  limit("--quota", options.quota_bytes, limit_parser(ops::parse_bytes, link::kMaxQuota, false),
        "bytes in all, both directions, such as 50GB; then connections end and no new ones begin; default: "
        "none",
        "BYTES");
}

std::string describe_terms(const link::Terms& terms) {
  std::string out;
  for (const std::string& rule : terms.allow) add_words(out, "--allow", rule);
  for (const std::string& rule : terms.deny) add_words(out, "--deny", rule);
  for (const std::string& rule : terms.allow_listen) add_words(out, "--allow-listen", rule);
  if (terms.max_streams != 0) add_words(out, "--max-streams", std::to_string(terms.max_streams));
  if (terms.stream_rate != 0) add_words(out, "--stream-rate", std::to_string(terms.stream_rate) + "/s");
  if (terms.rate_bytes != 0) add_words(out, "--rate", std::to_string(terms.rate_bytes) + "/s");
  if (terms.quota_bytes != 0) add_words(out, "--quota", std::to_string(terms.quota_bytes));
  return out;
}

std::string describe_bytes(std::uint64_t bytes) {
  constexpr double kStep = 1024;
  if (bytes < 1024) return std::to_string(bytes);
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB", "PiB"}) {
    if (value < kStep) break;
    value /= kStep;
    unit = next;
  }
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.1f%s" : "%.0f%s", value, unit);
  return text;
}

}  // namespace zks::app
