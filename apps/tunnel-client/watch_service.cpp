// SPDX-License-Identifier: MIT
#include "watch_service.hpp"

#include <chrono>

#include <unistd.h>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "ops/process_metrics.hpp"

namespace zks::app {

using tunnel::Json;

constexpr const char* kNone = "none";

// What control socket and metrics server share; cleared when the mode ends, since they may outlive it.
struct WatchService::Told {
  std::string mode;
  Ask ask;
  std::string metrics_address;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();

  std::string json() const;
};

namespace {

std::string state_of(const ModeStatus& status) {
  if (status.client) return tunnel::name_of(status.client->state);
  return status.exit ? status.exit->state() : "stopping";
}

bool has_fault(const ModeStatus& status) {
  return status.exit && !status.exit->faults.empty();
}

Json to_json(const TunStatus& tun) {
  Json out = vpn::to_json(tun.gate);
  out["set_up"] = tun.set_up;
  return out;
}

Json to_json(const std::vector<FrontDoor>& doors) {
  Json out = Json::array();
  for (const FrontDoor& door : doors) {
    out.push_back({{"kind", door.kind}, {"address", door.address}, {"connections", door.connections}});
  }
  return out;
}

class ModeMetrics final : public prometheus::Collectable {
 public:
  explicit ModeMetrics(std::function<ModeStatus()> ask) : ask_(std::move(ask)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    const ModeStatus status = ask_();
    ops::Families out;
    if (status.client) add_metrics(out, *status.client);
    if (status.tun) add_metrics(out, status.tun->gate);
    if (status.exit) add_metrics(out, *status.exit);
    if (!status.front_doors.empty()) {
      double connections = 0;
      for (const FrontDoor& door : status.front_doors) connections += static_cast<double>(door.connections);
      out.gauge("zks_client_front_door_connections", "Connections of programs to the front doors.",
                connections);
    }
    return out.take();
  }

 private:
  std::function<ModeStatus()> ask_;
};

Result<std::optional<ops::SocketFile>> make_socket(const std::string& mode, const std::string& control,
                                                   const std::filesystem::path& state_dir) {
  if (control == kNone) return std::optional<ops::SocketFile>();
  if (!control.empty()) {
    auto file = ops::SocketFile::create(control);
    if (!file) return make_error(file.error().kind, "--control: " + file.error().text);
    return std::optional<ops::SocketFile>(std::move(*file));
  }
  auto file = ops::SocketFile::create_in(control_directory(state_dir), mode);
  if (file) return std::optional<ops::SocketFile>(std::move(*file));
  log::warn("no control socket, so `status` will not find this process: {}", file.error().text);
  return std::optional<ops::SocketFile>();
}

}  // namespace

std::string WatchService::Told::json() const {
  if (!ask) return R"({"error":"the program is about to end"})";
  const ModeStatus status = ask();
  Json out{{"program", "zks-tunnel-client"},
           {"mode", mode},
           {"version", ZKS_VERSION},
           {"pid", ::getpid()},
           {"uptime_seconds", tunnel::to_seconds(std::chrono::steady_clock::now() - began)},
           {"state", state_of(status)},
           {"metrics", metrics_address.empty() ? Json() : Json(metrics_address)},
           {"front_doors", to_json(status.front_doors)}};
  if (status.tun) out["tun"] = to_json(*status.tun);
  if (status.client) out["client"] = tunnel::to_json(*status.client);
  if (status.exit) out["exit"] = exit::to_json(*status.exit);
  // Texts may come from elsewhere: what is no UTF-8 is replaced, not thrown at.
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::filesystem::path control_directory(const std::filesystem::path& state_dir) {
  return state_dir / "control";
}

Result<std::unique_ptr<WatchService>> WatchService::start(boost::asio::any_io_executor executor,
                                                          const std::string& mode,
                                                          const WatchOptions& options,
                                                          const std::filesystem::path& state_dir, Ask ask) {
  std::unique_ptr<WatchService> service(new WatchService);
  service->told_ = std::make_shared<Told>();
  const auto told = service->told_;
  told->mode = mode;
  told->ask = std::move(ask);
  if (options.metrics) {
    const auto collect = [told] { return told->ask ? told->ask() : ModeStatus(); };
    ops::Collectables collectables{std::make_shared<ModeMetrics>(collect),
                                   std::make_shared<ops::ProcessMetrics>("zks-tunnel-client")};
    auto listening = ops::MetricsServer::listen(executor, *options.metrics, std::move(collectables),
                                                [told] { return !told->ask || !has_fault(told->ask()); });
    if (!listening) return listening.error();
    service->metrics_ = std::move(*listening);
    const auto& address = service->metrics_->address();
    told->metrics_address = format_host_port(address.address().to_string(), address.port());
    service->metrics_->start();
  }
  auto socket = make_socket(mode, options.control, state_dir);
  if (!socket) return socket.error();
  if (*socket) {
    service->control_ =
        ops::ControlServer::start(executor, std::move(**socket), [told] { return told->json(); });
  }
  return service;
}

WatchService::~WatchService() {
  if (told_) told_->ask = nullptr;
  if (control_) control_->stop();
  if (metrics_) metrics_->stop();
}

}  // namespace zks::app
