// SPDX-License-Identifier: MIT
#include "vpn/supervisor.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.hpp"
#include "base/netlink.hpp"
#include "base/repeat_notice.hpp"
#include "base/system_error.hpp"
#include "host/change_watch.hpp"
#include "host/preflight.hpp"
#include "net/run_loop.hpp"
#include "net/spawn.hpp"
#include "vpn/relay_addresses.hpp"
#include "vpn/requests.hpp"
#include "vpn/supervisor_wire.hpp"
#include "vpn/worker_start.hpp"

namespace zks::vpn {
namespace {

using asio::posix::stream_descriptor;
using Json = nlohmann::json;

constexpr std::chrono::seconds kStopPatience{10};  // streams have 5 s
constexpr std::chrono::seconds kNameServiceEvery{2};
constexpr std::chrono::milliseconds kRestorePause{100};  // between two looks at what is set up
constexpr std::chrono::seconds kTellAgainAfter{10};      // what was put back
constexpr std::chrono::seconds kAliveAtMostEvery{1};

class Parent {
 public:
  Parent(SupervisorOptions options, host::Host host, host::Instance instance, NameProcess names, Fd worker,
         pid_t pid);
  int run();

 private:
  void wait_for_worker();
  void wait_for_questions();
  void on_message(const Json& body);
  void give_socket(const SocketRequest& wanted);
  void on_up(const std::vector<std::string>& lines);
  static asio::awaitable<void> look_up(Parent* self, std::uint64_t id, HostPort target);
  void keep_name_service();
  void watch_changes();
  void wait_for_change(stream_descriptor* socket);
  void restore_soon();
  void restore();
  void on_alive();
  void on_signal(int signal);
  void on_child();
  void look_at_name_process();
  void stop_worker();
  int finish();

  SupervisorOptions options_;
  host::Host host_;
  host::Instance instance_;
  pid_t pid_;
  asio::io_context loop_{1};
  stream_descriptor question_;
  stream_descriptor worker_;
  asio::signal_set signals_{loop_};
  asio::steady_timer patience_{loop_};
  asio::steady_timer next_look_{loop_};
  std::vector<stream_descriptor> changes_;  // change_watch.hpp
  asio::steady_timer next_restore_{loop_};
  bool restore_waits_ = false;
  RepeatNotice notice_{kTellAgainAfter};
  RelayAddresses relays_;
  bool stopping_ = false;  // the operator said so
  bool up_ = false;
  std::chrono::steady_clock::time_point alive_;
  std::optional<int> ended_;  // the worker; its status
};

Parent::Parent(SupervisorOptions options, host::Host host, host::Instance instance, NameProcess names,
               Fd worker, pid_t pid)
    : options_(std::move(options)),
      host_(std::move(host)),
      instance_(std::move(instance)),
      pid_(pid),
      question_(loop_, ::dup(instance_.question())),
      worker_(loop_, worker.release()),
      relays_(loop_, host_, options_.targets, std::move(names)) {
  for (const int signal : kSignals) signals_.add(signal);
}

void Parent::keep_name_service() {
  next_look_.expires_after(kNameServiceEvery);
  next_look_.async_wait([this](const boost::system::error_code& ec) {
    if (ec) return;
    restore_soon();  // also what no message tells of
    const auto kept = host_.keep_name_service();
    if (!kept) log::warn("{}", kept.error().text);
    if (kept && *kept) log::warn("another program had changed resolv.conf; it is the tunnel's again");
    keep_name_service();
  });
}

void Parent::watch_changes() {
  auto sockets = host::watch_changes();
  if (!sockets) {
    log::error("{}", sockets.error().text);
    return stop_worker();
  }
  for (Fd& socket : *sockets) changes_.emplace_back(loop_, socket.release());
  for (stream_descriptor& socket : changes_) wait_for_change(&socket);
  restore_soon();  // what was changed before
}

void Parent::wait_for_change(stream_descriptor* socket) {
  socket->async_wait(stream_descriptor::wait_read, [this, socket](const boost::system::error_code& ec) {
    if (ec) return;
    drain_netlink(socket->native_handle());
    restore_soon();
    wait_for_change(socket);
  });
}

// At once, and then not again before kRestorePause: another program may change much.
void Parent::restore_soon() {
  if (std::exchange(restore_waits_, true)) return;
  next_restore_.async_wait([this](const boost::system::error_code& ec) {
    if (ec) return;
    restore_waits_ = false;
    restore();
    next_restore_.expires_after(kRestorePause);
  });
}

void Parent::restore() {
  if (stopping_ || ended_) return;
  const auto restored = host_.restore();
  if (!restored) {
    log::error("{}; vpn ends", restored.error().text);
    restore_waits_ = true;  // for ever: there is no other try
    return stop_worker();
  }
  if (restored->empty() || !notice_.is_due(std::chrono::steady_clock::now())) return;
  std::string what;
  for (const std::string& part : *restored) what += (what.empty() ? "" : ", ") + part;
  log::warn("another program changed {}; it is as it was again", what);
}

int Parent::run() {
  if (auto allowed = relays_.allow(); !allowed) {
    log::error("{}", allowed.error().text);
    stop_worker();
  }
  relays_.start();
  wait_for_worker();
  wait_for_questions();
  watch_changes();
  keep_name_service();
  const auto wait = [this](auto& again) -> void {
    signals_.async_wait([this, &again](const boost::system::error_code& ec, int signal) {
      if (ec) return;
      on_signal(signal);
      again(again);
    });
  };
  wait(wait);
  net::run_loop(loop_);
  return finish();
}

void Parent::on_signal(int signal) {
  if (signal == SIGCHLD) return on_child();
  if (stopping_) return (void)::kill(pid_, SIGKILL);  // asked twice: at once
  stopping_ = true;
  if (options_.on_stopping) options_.on_stopping();
  stop_worker();
}

void Parent::stop_worker() {
  ::kill(pid_, SIGTERM);
  patience_.expires_after(kStopPatience);
  patience_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec && !ended_) ::kill(pid_, SIGKILL);
  });
}

void Parent::on_child() {
  look_at_name_process();
  int status = 0;
  if (ended_ || ::waitpid(pid_, &status, WNOHANG) != pid_) return;
  // What it still said: whether there was a session.
  for (auto said = receive_message(worker_.native_handle()); said && *said;) {
    on_message((*said)->body);
    said = receive_message(worker_.native_handle());
  }
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  // It had only begun; a terminal sends both processes its SIGINT or SIGHUP.
  const bool as_told = stopping_ && (signal == SIGTERM || signal == SIGINT || signal == SIGHUP);
  if (signal != 0 && !as_told) log::error("the worker was ended by {}", signal_text(signal));
  ended_ = signal == 0 ? WEXITSTATUS(status) : as_told ? 0 : 1;
  loop_.stop();
}

// No other is forked from here: this process has a loop and devices by now. As with a worker that ends.
void Parent::look_at_name_process() {
  const auto status = relays_.name_process_ended();
  if (!status || stopping_ || ended_) return;
  const std::string how = WIFSIGNALED(*status) ? signal_text(WTERMSIG(*status)) : "itself";
  log::error("the process that asks name servers was ended by {}; vpn ends", how);
  stop_worker();
}

// A relay, an exit or whoever else the worker heard from can't open what the operator closed.
int Parent::finish() {
  relays_.end();
  if (options_.on_ended) options_.on_ended(pid_);
  const bool as_found = !up_ && !options_.stay_closed && !host_.found_closed();
  if (stopping_ || !options_.plan.kill_switch || as_found) {
    const auto undone = host_.undo();
    if (!undone) {
      log::error("{}; try: zks-tunnel-client vpn --down", undone.error().text);
      return 1;
    }
    if (!stopping_ && !up_) log::warn("there was no session: what was changed on this machine is undone");
    if (!stopping_ && *ended_ == 0) return 1;
    return *ended_;
  }
  log::warn(
      "the kill switch stays: nothing but the tunnel may leave this machine until vpn is started again "
      "(systemd "
      "does that for its service) or this opens it: zks-tunnel-client vpn --down");
  return *ended_ == 0 ? 1 : *ended_;
}

void Parent::wait_for_worker() {
  worker_.async_wait(stream_descriptor::wait_read, [this](const boost::system::error_code& ec) {
    if (ec) return;
    auto message = receive_message(worker_.native_handle());
    if (!message && message.error().kind == ErrorKind::kClosed) return;  // SIGCHLD comes next
    if (message && *message) on_message((*message)->body);
    wait_for_worker();
  });
}

void Parent::wait_for_questions() {
  question_.async_wait(stream_descriptor::wait_read, [this](const boost::system::error_code& ec) {
    if (ec) return;
    instance_.answer();
    wait_for_questions();
  });
}

void Parent::on_message(const Json& body) {
  auto message = read_worker_message(body);
  if (!message) return;
  if (const auto* wanted = std::get_if<SocketRequest>(&*message)) return give_socket(*wanted);
  if (auto* wanted = std::get_if<LookUpRequest>(&*message)) {
    asio::co_spawn(loop_, look_up(this, wanted->id, std::move(wanted->target)), net::RethrowFailure{});
  } else if (const auto* up = std::get_if<UpNotice>(&*message)) {
    on_up(up->lines);
  } else {
    on_alive();
  }
}

void Parent::on_up(const std::vector<std::string>& lines) {
  if (std::exchange(up_, true)) return;
  const auto told = options_.on_up ? options_.on_up(lines) : Result<>();
  if (told) return;
  log::error("{}", told.error().text);
  stop_worker();
}

// No more often than there is a use for: the worker is not believed.
void Parent::on_alive() {
  const auto now = std::chrono::steady_clock::now();
  if (now - alive_ < kAliveAtMostEvery) return;
  alive_ = now;
  if (options_.on_alive) options_.on_alive();
}

// TCP alone: what the kill switch has open for datagrams is the name servers'.
void Parent::give_socket(const SocketRequest& wanted) {
  const Fd socket = marked_socket(wanted.ipv4 ? AF_INET : AF_INET6, SOCK_STREAM);
  Json answer = {{"id", wanted.id}};
  if (!socket) answer["error"] = system_error("open a socket", errno).text;
  (void)send_message(worker_.native_handle(), answer, socket.get());
}

asio::awaitable<void> Parent::look_up(Parent* self, std::uint64_t id, HostPort target) {
  const auto found = co_await RelayAddresses::look_up(&self->relays_, std::move(target));
  Json answer = {{"id", id}};
  if (!found) {
    answer["error"] = found.error().text;
  } else {
    answer["addresses"] = Json::array();
    for (const IpAddress& address : *found) answer["addresses"].push_back(address.text());
  }
  (void)send_message(self->worker_.native_handle(), answer);
}

// The machine; and the worker is told how it is, for `status`.
Result<host::Host> set_up(const host::Plan& plan, const host::Instance& instance, const TunDevice& tun,
                          int worker) {
  if (auto put_back = instance.put_back_resolv_conf(); !put_back) return put_back.error();
  auto host = host::Host::set_up(plan, instance.journal_file());
  if (!host) return host;
  Json summary = host->summary();
  summary.erase("allowed_endpoints");  // of this moment, and the parent's to know
  summary["offloads"] = {{"tcp", tun.segments}, {"udp", tun.datagrams}};
  // One that is gone meanwhile is found so by Parent.
  (void)send_file(worker, {{"do", "begin"}}, summary.dump());
  return host;
}

}  // namespace

Result<Part> supervise(SupervisorOptions options) {
  auto instance = host::Instance::take(options.journal_directory, options.state_dir);
  if (!instance) return instance.error();
  if (options.on_begin) options.on_begin();
  SignalsHeld signals;
  if (auto checked = host::check_machine(options.plan); !checked) return checked.error();
  NameProcessStart names;
  if (has_names(options.targets)) names = start_name_process(options.name_program);
  if (names.status) return Part{std::nullopt, *names.status};
  auto tun = open_free_tun(options.plan.tun, options.offloads);
  if (!tun) return tun.error();
  options.plan.tun = tun->name;
  auto inner = make_private_namespace(options.plan.mtu, options.offloads);
  if (!inner) return inner.error();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return system_error("make a pair of sockets", errno);
  }
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("fork", errno);
  if (pid == 0) {
    (void)::signal(SIGINT, SIG_IGN);  // of Ctrl-C; the parent passes it on
    return Part{Worker{{std::move(tun->fd), std::move(*inner)}, std::move(theirs)}, 0};
  }
  theirs = Fd();
  inner = PrivateNamespace();  // the worker's alone; the TUN device stays as long as the parent has it
  if (const auto status = wait_until_prepared(ours.get(), pid)) {
    names.process.end();
    if (options.on_ended) options.on_ended(pid);
    return Part{std::nullopt, *status};
  }
  auto host = set_up(options.plan, *instance, *tun, ours.get());
  if (!host) {
    ::kill(pid, SIGKILL);
    reap(pid);
    names.process.end();
    if (options.on_ended) options.on_ended(pid);
    return host.error();
  }
  Parent parent(std::move(options), std::move(*host), std::move(*instance), std::move(names.process),
                std::move(ours), pid);
  signals.release();
  return Part{std::nullopt, parent.run()};
}

Result<bool> take_down(const std::filesystem::path& journal_directory, const std::string& state_dir) {
  const auto instance = host::Instance::take(journal_directory, state_dir);
  if (!instance) return instance.error();
  const auto undone = host::undo_leftovers(instance->journal_file());
  if (!undone) return undone;
  const auto put_back = instance->put_back_resolv_conf();
  if (!put_back) return put_back;
  return *undone || *put_back;
}

}  // namespace zks::vpn
