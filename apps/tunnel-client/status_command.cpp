// SPDX-License-Identifier: MIT
//
// status: asks a running program how it is doing, over its control socket.
#include <chrono>
#include <cstdio>
#include <thread>

#include <unistd.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "host/instance.hpp"
#include "ops/status_text.hpp"
#include "watch_service.hpp"

namespace zks::app {
namespace {

constexpr std::chrono::seconds kWatchEvery{1};
constexpr int kUp = 0;
constexpr int kNotUp = 1;

struct StatusOptions {
  std::filesystem::path state_dir;
  std::string control;
  bool json = false;
  bool watch = false;
};

// The one program that serves in the state directory.
Result<std::filesystem::path> find_socket(const StatusOptions& options) {
  if (!options.control.empty()) return std::filesystem::path(options.control);
  const auto directory = control_directory(options.state_dir);
  std::vector<std::filesystem::path> live;
  for (const auto& path : ops::list_sockets(directory)) {
    if (ops::connect_socket(path)) live.push_back(path);
  }
  if (live.size() == 1) return live.front();
  if (live.empty()) {
    return make_error(
        ErrorKind::kClosed,
        "nothing runs with the state directory " + options.state_dir.string() +
            "; start a client or an exit peer, or say where one is with --state-dir or --control");
  }
  std::string names;
  for (const auto& path : live) names += "\n  --control " + path.string();
  return make_error(ErrorKind::kUsage, "several programs run here; choose one:" + names);
}

Result<> print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return make_error(ErrorKind::kIo, "the status could not be written");
  }
  return {};
}

// Asks once and prints; whether the program is up.
Result<bool> show(const std::filesystem::path& socket, const StatusOptions& options) {
  const auto answer = ops::ask_status(socket);
  if (!answer && answer.error().kind == ErrorKind::kClosed) {
    return make_error(ErrorKind::kClosed, "no program serves " + socket.string() + " any more");
  }
  if (!answer) return answer.error();
  const auto status = tunnel::Json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return make_error(ErrorKind::kProtocol, "the answer is not JSON");
  if (const auto error = status.find("error"); error != status.end()) {
    return make_error(ErrorKind::kClosed, "the program answered: " + printable(error->dump()));
  }
  std::string text;
  if (options.json) {
    text = status.dump(options.watch ? -1 : 2) + "\n";
  } else {
    const bool clear = options.watch && ::isatty(STDOUT_FILENO) == 1;
    text = (clear ? "\x1b[H\x1b[2J" : "") + ops::render_status(nlohmann::json(status)) +
           (options.watch && !clear ? "\n" : "");
  }
  if (const auto printed = print(text); !printed) return printed.error();
  const auto state = status.find("state");
  return state != status.end() && *state == "up";
}

Result<bool> run(const StatusOptions& options) {
  const auto socket = find_socket(options);
  if (!socket) return socket.error();
  for (;;) {
    const auto up = show(*socket, options);
    if (!up || !options.watch) return up;
    std::this_thread::sleep_for(kWatchEvery);
  }
}

// What may be the reason why nothing answers, or nothing works.
std::string about_this_machine() {
  if (const auto other = host::who_runs(host::journal_directory())) {
    const std::string where = other->state_dir.empty() ? "" : ", --state-dir " + other->state_dir;
    return "\n  a vpn runs on this machine: process " + std::to_string(other->pid) + where;
  }
  if (!host::is_set_up()) return "";
  return "\n  this machine is closed: a vpn ended without undoing what it had changed, and nothing may leave "
         "but by "
         "its tunnel\n  start vpn again, or open the machine: sudo zks-tunnel-client vpn --down";
}

int fail_in_lines(const Error& error) {
  const std::string more = error.kind == ErrorKind::kClosed ? about_this_machine() : "";
  std::fprintf(stderr, "zks-tunnel-client status: %s%s\n", error.text.c_str(), more.c_str());
  return exit_status(error);
}

}  // namespace

int status_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client status",
      "Says how a running client or exit peer of this user is doing: the path to the relay, state, lanes, "
      "round trip, key epochs, connections, bytes. Without options it asks the one that runs with the "
      "default "
      "state directory. The exit status is 0 when it is up, 1 when it is not or none runs, 2 when the "
      "options "
      "are wrong or do not say which of several.",
      "Examples:\n"
      "  zks-tunnel-client status\n"
      "  zks-tunnel-client status --json | jq .client.session.lanes\n"
      "  sudo zks-tunnel-client status --state-dir /var/lib/zks-exit\n"
      "  zks-tunnel-client status --watch");
  StatusOptions options;
  add_state_dir(line.app(), options.state_dir);
  line.app().add_option("--control", options.control, "ask at this socket")->type_name("SOCKET");
  line.app().add_flag("--json", options.json, "print JSON (docs/guide/operating.md says what is in it)");
  line.app().add_flag("--watch", options.watch, "ask again each second, until interrupted");
  if (const auto status = line.parse(argc, argv)) return *status;
  const auto up = run(options);
  if (!up) return fail_in_lines(up.error());
  return *up ? kUp : kNotUp;
}

}  // namespace zks::app
