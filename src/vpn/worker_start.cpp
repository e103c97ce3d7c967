// SPDX-License-Identifier: MIT
#include "vpn/worker_start.hpp"

#include <cerrno>
#include <chrono>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.hpp"
#include "vpn/supervisor_wire.hpp"

namespace zks::vpn {
namespace {

constexpr std::chrono::seconds kSignalPatience{1};  // until one that the worker had comes here too

// Signals that end this process, while they are held.
class Told {
 public:
  Told() {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
    fd_ = Fd(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  int fd() const { return fd_.get(); }
  // Takes them.
  bool to_end(std::chrono::milliseconds patience) const {
    pollfd waiting{fd_.get(), POLLIN, 0};
    bool any = false;
    signalfd_siginfo signal{};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
    while (::read(fd_.get(), &signal, sizeof(signal)) > 0) any = true;
    return any;
  }

 private:
  Fd fd_;
};

// A worker that did not get so far has said why. A terminal sends its signal to both processes.
int status_of_unprepared(int status, const Told& told) {
  if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? 1 : WEXITSTATUS(status);
  if (told.to_end(kSignalPatience)) return 0;
  log::error("the process without rights was ended by {}", signal_text(WTERMSIG(status)));
  return 1;
}

}  // namespace

int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string signal_text(int signal) {
  std::string out = "signal " + std::to_string(signal);
  if (signal == SIGSYS)
    out += ", for a system call that it has no use for: a fault, or somebody had taken it over";
  return out;
}

std::optional<int> wait_until_prepared(int socket, pid_t pid) {
  const Told told;
  for (;;) {
    std::array<pollfd, 2> waiting{{{socket, POLLIN, 0}, {told.fd(), POLLIN, 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
    if (waiting[1].revents != 0 && told.to_end({})) {
      ::kill(pid, SIGKILL);
      reap(pid);
      return 0;
    }
    if (waiting[0].revents == 0) continue;
    const auto message = receive_message(socket);
    if (message && *message && (*message)->body == nlohmann::json{{"do", "prepared"}}) return std::nullopt;
    if (!message && message.error().kind == ErrorKind::kClosed) return status_of_unprepared(reap(pid), told);
  }
}

}  // namespace zks::vpn
