// SPDX-License-Identifier: MIT
//
// vpn is two processes. The parent sets the machine up (host/host.hpp) and is the one that can undo it; it
// stays small, as it is privileged, and talks to nobody on the network but the name servers outside. The
// worker, a user without rights, has the session and all that the network sends (parent_link.hpp); it asks
// the parent for sockets that may leave, and for the addresses of the relays that the user named, and gets
// nobody else's.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/host.hpp"
#include "vpn/gate.hpp"

namespace zks::vpn {

struct Place {
  std::string host;
  std::uint16_t port = 0;
  auto operator<=>(const Place&) const = default;
};

struct SupervisorOptions {
  host::Plan plan;
  bool offloads = true;  // segmentation and checksums left to who takes a packet from a TUN device
  std::string journal_file;
  std::set<Place> places;  // relays, or the proxies that they are reached by
  // In the parent. The session is up for the first time; the lines are the worker's for the ready file.
  std::function<Result<>(const std::vector<std::string>& lines)> on_up;
  std::function<void()> on_stopping;
  std::function<void(pid_t worker)> on_ended;
};

// What the worker begins with.
struct Worker {
  Devices devices;
  Fd parent;            // for ParentLink
  nlohmann::json host;  // what was set up, for `status`
};

// One of both, each in its process.
struct Part {
  std::optional<Worker> worker;
  int status = 0;  // the parent's: what to exit with, after everything was undone, or left closed
};

// Sets the machine up and forks; returns at once in the worker, and at the end in the parent. To be called
// before there are threads or event loops. What was set up is undone when the operator ends it (SIGTERM,
// SIGINT, SIGHUP); when the worker ends by itself, whatever it says, the kill switch stays.
Result<Part> supervise(SupervisorOptions options);

// Undoes what a vpn left that is not running any more. True if there was anything. kUsage when one is
// running.
Result<bool> take_down(const std::string& journal_file);

}  // namespace zks::vpn
