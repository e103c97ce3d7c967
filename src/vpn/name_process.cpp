// SPDX-License-Identifier: MIT
#include "vpn/name_process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.hpp"
#include "base/log_output.hpp"
#include "net/resolver.hpp"
#include "net/run_loop.hpp"
#include "net/spawn.hpp"
#include "vpn/parent_link.hpp"
#include "vpn/syscall_filter.hpp"
#include "vpn/worker_start.hpp"

namespace zks::vpn {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kLookupPatience{10};
constexpr int kWrongUsage = 2;
constexpr char kShown[] = "zks-tunnel-client";  // by ps
constexpr int kPair = STDERR_FILENO + 1;        // its end, in a program anew

Json answer_of(std::uint64_t id, const net::Resolution& found) {
  std::vector<std::string> addresses;
  for (const IpAddress& address : found.addresses) addresses.push_back(address.text());
  return {{"id", id}, {"addresses", addresses}, {"failure", static_cast<std::uint64_t>(found.failure)}};
}

asio::awaitable<void> answer(std::shared_ptr<ParentLink> link, asio::any_io_executor executor,
                             Json question) {
  net::LookupOptions options;
  options.servers = question.value("servers", "");
  options.open = [link](int family, int type) { return link->open_socket(family, type); };
  const auto resolver = std::make_shared<net::Resolver>(executor, std::move(options));
  auto asking =
      resolver->resolve(question.value("host", ""), std::chrono::steady_clock::now() + kLookupPatience);
  const net::Resolution found = co_await std::move(asking);
  link->say(answer_of(question.value("id", std::uint64_t{0}), found));
}

// Until the parent is gone.
void serve(Fd parent) {
  asio::io_context loop(1);
  const auto link =
      std::make_shared<ParentLink>(loop.get_executor(), std::move(parent), [&loop] { loop.stop(); });
  link->on_asked([link, &loop](Json question) {
    asio::co_spawn(loop, answer(link, loop.get_executor(), std::move(question)), net::RethrowFailure{});
  });
  link->say({{"do", "prepared"}});
  link->start();
  net::run_loop(loop);
  link->stop();
}

// In the child: leaves nothing open but input, output, error and the pair.
void keep_only(const Fd& parent) {
  if (parent.get() == kPair) {
    (void)::fcntl(kPair, F_SETFD, 0);
  } else {
    (void)::dup2(parent.get(), kPair);
  }
  (void)::close_range(kPair + 1, ~0U, 0);
}

// Without the environment, which may name a link.
int execute(const std::vector<std::string>& program) {
  std::vector<char*> arguments;
  for (const std::string& argument : program) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.front() = const_cast<char*>(kShown);
  arguments.push_back(nullptr);
  std::array<char*, 1> environment{};
  (void)::execve(program.front().c_str(), arguments.data(), environment.data());
  log::go_on();
  log::error("can't start {} for looking up names: {}", program.front(), std::strerror(errno));
  return 1;
}

bool is_pair(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

int run_name_process(const std::string& user) {
  if (!is_pair(kPair)) {
    log::error("this mode is vpn's own, which starts it");
    return kWrongUsage;
  }
  Fd parent(kPair);
  (void)::prctl(PR_SET_NAME, "zks-vpn-names");
  // Who ends vpn as a whole, a terminal or systemd, means the parent, which then ends this.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) (void)::signal(signal, SIG_IGN);
  auto confined = drop_privileges(user);
  if (confined) confined = filter_system_calls(Sockets::kGiven);
  log::go_on();
  if (!confined) {
    log::error("{}", confined.error().text);
    return confined.error().kind == ErrorKind::kUsage ? kWrongUsage : 1;
  }
  serve(std::move(parent));
  return 0;
}

std::optional<int> NameProcess::ended() {
  int status = 0;
  if (pid_ == 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  return status;
}

void NameProcess::end() {
  socket_ = Fd();
  if (pid_ != 0) ::kill(pid_, SIGKILL);
  if (pid_ != 0) reap(pid_);
  pid_ = 0;
}

NameProcessStart start_name_process(const std::vector<std::string>& program) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    log::error("socketpair: {}", std::strerror(errno));
    return {{}, 1};
  }
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) {
    log::error("fork: {}", std::strerror(errno));
    return {{}, 1};
  }
  if (pid == 0) {
    int status = 1;
    keep_only(theirs);
    theirs.release();
    try {
      status = program.size() > 1 ? execute(program) : run_name_process(program.front());
    } catch (const std::exception& failure) {
      log::error("looking up names: {}", failure.what());
    }
    log::flush(log::kLastLinesWithin);
    ::_exit(status);
  }
  theirs = Fd();
  if (const auto status = wait_until_prepared(ours.get(), pid)) return {{}, *status};
  return {NameProcess(pid, std::move(ours)), std::nullopt};
}

}  // namespace zks::vpn
