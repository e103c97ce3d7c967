// SPDX-License-Identifier: MIT
//
// The command line of demo.
#include "commands.hpp"
#include "common_options.hpp"
#include "modes.hpp"

namespace zks::app {

int demo_command(int argc, const char* const* argv) {
  ops::CommandLine line("zks-tunnel-client demo",
                        "Relay, exit peer and proxy in one process on loopback: the whole path without any "
                        "set-up. Prints the proxy's address and what to try.",
                        "Example:\n"
                        "  zks-tunnel-client demo\n"
                        "  curl --socks5-hostname 127.0.0.1:1080 https://example.org/");
  DemoOptions options;
  ProxyText proxy_text;
  add_proxy(line.app(), "--listen", options.proxy, proxy_text);
  add_lanes(line.app(), options.proxy);
  add_ready_file(line.app(), options.ready_file);
  line.add_log_options();
  if (const auto status = line.parse(argc, argv)) return *status;
  const Result<> proxy = finish_proxy(proxy_text, options.proxy);
  if (!proxy) return line.fail(proxy.error());
  const Result<> ended = run_demo(std::move(options));
  return ended ? 0 : line.fail(ended.error());
}

}  // namespace zks::app
