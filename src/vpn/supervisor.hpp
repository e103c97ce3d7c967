// SPDX-License-Identifier: MIT
//
// vpn is three processes. The parent sets the machine up (host/host.hpp) and is the one that can undo it; it
// stays small, as it is privileged, and reads nothing that came from the network. The worker, a user without
// rights, has the session and all that the network sends (parent_link.hpp); it asks the parent for sockets
// that may leave, and for the addresses of the relays that the user named, and gets nobody else's. Where
// these have names, a third process, without rights too, asks the name servers outside (name_process.hpp).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/host.hpp"
#include "host/instance.hpp"
#include "vpn/gate.hpp"
#include "vpn/requests.hpp"

namespace zks::vpn {

struct SupervisorOptions {
  host::Plan plan;
  bool offloads = true;  // segmentation and checksums left to who takes a packet from a TUN device
  std::filesystem::path journal_directory = host::journal_directory();
  std::string state_dir;                               // for whoever is refused meanwhile
  std::set<HostPort> targets;                          // relays, or the proxies that they are reached by
  std::vector<std::string> name_program = {"nobody"};  // start_name_process()
  bool stay_closed = false;                            // also when there never was a session
  std::function<void()> on_begin;                      // no other vpn runs here
  // In the parent. The session is up for the first time; the lines are the worker's for the ready file.
  std::function<Result<>(const std::vector<std::string>& lines)> on_up;
  std::function<void()> on_alive;  // the worker's loop runs, and so does the parent's
  std::function<void()> on_stopping;
  std::function<void(pid_t worker)> on_ended;
};

// What the worker begins with.
struct Worker {
  Devices devices;
  Fd parent;  // for ParentLink
};

// One of the two that come back from supervise(), each in its process.
struct Part {
  std::optional<Worker> worker;
  int status = 0;  // the parent's: what to exit with, after everything was undone, or left closed
};

// Forks; returns at once in the worker, and at the end in the parent. To be called before there are threads
// or event loops. Nothing on the machine is changed until the worker is prepared (ParentLink): its files,
// users and ports are there. What was set up is undone when the operator ends it (SIGTERM, SIGINT, SIGHUP),
// and when the worker ends before the first session, unless a vpn before it had left the machine closed. When
// it ends by itself later, whatever it says, the kill switch stays.
Result<Part> supervise(SupervisorOptions options);

// Undoes what a vpn left in this network namespace that is not running any more, whatever its state
// directory. True if there was anything. kUsage when one is running.
Result<bool> take_down(const std::filesystem::path& journal_directory, const std::string& state_dir);

}  // namespace zks::vpn
