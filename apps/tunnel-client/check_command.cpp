// SPDX-License-Identifier: MIT
//
// The command line of check.
#include "commands.hpp"
#include "common_options.hpp"
#include "link_source.hpp"
#include "modes.hpp"
#include "network_options.hpp"

namespace zks::app {

int check_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client check",
      "Tries an access link step by step, from the relay's name to a session with the exit, and "
      "says what works and what fails.",
      "Example:\n  zks-tunnel-client check --link-file ~/home.link");
  CheckOptions options;
  LinkText link_text;
  add_link(line.app(), link_text);
  add_common(line.app(), options.common);
  NetworkText network;
  add_network(line.app(), options.common, network);
  line.add_log_options();
  if (const auto status = line.parse(argc, argv)) return *status;
  if (auto done = finish_network(network, options.common); !done) return line.fail(done.error());
  Result<link::AccessLink> link = find_link(link_text.argument, link_text.file);
  if (!link) return line.fail(link.error());
  options.link = std::move(*link);
  const Result<> ended = run_check(std::move(options));
  return ended ? 0 : line.fail(ended.error());
}

}  // namespace zks::app
