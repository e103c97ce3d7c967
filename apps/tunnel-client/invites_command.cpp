// SPDX-License-Identifier: MIT
//
// invites: lists the users of the exit, never their keys.
#include <chrono>
#include <cstdio>
#include <ctime>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "common_options.hpp"
#include "existing_state.hpp"
#include "terms_options.hpp"

namespace zks::app {
namespace {

std::string utc(std::int64_t seconds) {
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

nlohmann::json limit_json(std::uint64_t limit) {
  return limit == 0 ? nlohmann::json() : nlohmann::json(limit);
}

std::uint64_t used_by(const link::Invite& invite, const link::Usage& usage) {
  const auto at = usage.find(invite.id);
  return at == usage.end() ? 0 : at->second;
}

std::string as_json(const std::vector<link::Invite>& invites, const link::Usage& usage) {
  nlohmann::json out = nlohmann::json::array();
  for (const link::Invite& invite : invites) {
    out.push_back({{"name", invite.name},
                   {"id", to_base64url(invite.id)},
                   {"created", utc(invite.created)},
                   {"expires", invite.expires == 0 ? nlohmann::json() : nlohmann::json(utc(invite.expires))},
                   {"devices", invite.devices.size()},
                   {"max_devices", invite.max_devices},
                   {"allow", invite.terms.allow},
                   {"deny", invite.terms.deny},
                   {"allow_listen", invite.terms.allow_listen},
                   {"max_streams", limit_json(invite.terms.max_streams)},
                   {"stream_rate", limit_json(invite.terms.stream_rate)},
                   {"rate_bytes", limit_json(invite.terms.rate_bytes)},
                   {"quota_bytes", limit_json(invite.terms.quota_bytes)},
                   {"used_bytes", used_by(invite, usage)}});
  }
  return out.dump(2) + "\n";
}

std::string as_table(const std::vector<link::Invite>& invites, const link::Usage& usage, std::int64_t now) {
  std::size_t width = 4;
  for (const link::Invite& invite : invites) width = std::max(width, invite.name.size());
  std::string out;
  const auto row = [&out, width](const std::string& name, const std::string& id, const std::string& created,
                                 const std::string& expires, const std::string& devices,
                                 const std::string& used) {
    char line[256];
    std::snprintf(line, sizeof line, "%-*s  %-11s  %-20s  %-20s  %-7s  %s\n", static_cast<int>(width),
                  name.c_str(), id.c_str(), created.c_str(), expires.c_str(), devices.c_str(), used.c_str());
    out += line;
  };
  row("NAME", "ID", "CREATED", "EXPIRES", "DEVICES", "USED");
  for (const link::Invite& invite : invites) {
    const std::string expires = invite.expires == 0   ? "never"
                                : invite.expired(now) ? "expired"
                                                      : utc(invite.expires);
    std::string used = describe_bytes(used_by(invite, usage));
    if (invite.terms.quota_bytes != 0) used += " of " + describe_bytes(invite.terms.quota_bytes);
    row(invite.name, to_base64url(invite.id), utc(invite.created), expires,
        std::to_string(invite.devices.size()) + "/" + std::to_string(invite.max_devices), used);
    const std::string terms = describe_terms(invite.terms);
    if (!terms.empty()) out += "  " + terms + "\n";
  }
  return out;
}

}  // namespace

int invites_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client invites",
      "Lists the users of this exit: name, id, when the invite was made and when it expires, and "
      "how many of its devices have used it, how many bytes it has used (a running exit writes that down "
      "every "
      "30 s), and below it its own rules and limits.",
      "Example:\n  zks-tunnel-client invites --json | jq -r '.[].name'");
  std::filesystem::path state_dir;
  bool json = false;
  add_state_dir(line.app(), state_dir);
  line.app().add_flag("--json", json,
                      "one JSON array; times in UTC; expires is null for never, a limit for none");
  if (const auto status = line.parse(argc, argv)) return *status;
  Result<link::StateDirectory> state = open_existing_state(state_dir);
  if (!state) return line.fail(state.error());
  const Result<std::vector<link::Invite>> invites = state->load_invites();
  if (!invites) return line.fail(invites.error());
  const Result<link::Usage> usage = state->load_usage();
  if (!usage) return line.fail(usage.error());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string text =
      json ? as_json(*invites, *usage)
           : as_table(*invites, *usage, std::chrono::duration_cast<std::chrono::seconds>(now).count());
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return line.fail(make_error(ErrorKind::kIo, "the list could not be written"));
  }
  return 0;
}

}  // namespace zks::app
