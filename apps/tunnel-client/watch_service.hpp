// SPDX-License-Identifier: MIT
//
// What lets others see how a running mode is doing: its control socket, which `status` asks, and /metrics.
// Each mode says what there is to tell; a new front door adds itself to its mode's front_doors.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "exit/exit_status.hpp"
#include "ops/control_server.hpp"
#include "ops/families.hpp"
#include "ops/metrics_server.hpp"
#include "options.hpp"
#include "tunnel/status.hpp"
#include "vpn/gate_status.hpp"

namespace zks::app {

// Something that programs on this machine, or for a reverse forward at the exit, connect to.
struct FrontDoor {
  std::string kind;             // "proxy"
  std::string address;          // where it listens
  std::size_t connections = 0;  // UDP: who wrote lately
};

// A TUN device: what passed it, and what was set up on the machine for it (host/host.hpp).
struct TunStatus {
  vpn::GateStatus gate;
  tunnel::Json set_up;
};

// Of one moment. A mode fills in what it has.
struct ModeStatus {
  std::optional<tunnel::ClientStatus> client;
  std::optional<exit::ExitStatus> exit;
  std::vector<FrontDoor> front_doors;
  std::optional<TunStatus> tun;
};

// The metrics of each: client_metrics.cpp, tun_metrics.cpp, exit_metrics.cpp.
void add_metrics(ops::Families& out, const tunnel::ClientStatus& status);
void add_metrics(ops::Families& out, const vpn::GateStatus& status);
void add_metrics(ops::Families& out, const exit::ExitStatus& status);

// Executor: the one given. Lifetime: the mode's; after it nothing asks for the status any more.
class WatchService {
 public:
  using Ask = std::function<ModeStatus()>;

  // kUsage or kIo when what the user asked for can't be had. Without --control the socket is in the state
  // directory; when that does not work out, the program runs on without one, and says so.
  static Result<std::unique_ptr<WatchService>> start(boost::asio::any_io_executor executor,
                                                     const std::string& mode, const WatchOptions& options,
                                                     const std::filesystem::path& state_dir, Ask ask);
  ~WatchService();
  WatchService(const WatchService&) = delete;
  WatchService& operator=(const WatchService&) = delete;

 private:
  struct Told;
  WatchService() = default;

  std::shared_ptr<Told> told_;
  std::shared_ptr<ops::ControlServer> control_;
  std::shared_ptr<ops::MetricsServer> metrics_;
};

// Where the sockets of programs with this state directory are.
std::filesystem::path control_directory(const std::filesystem::path& state_dir);

}  // namespace zks::app
