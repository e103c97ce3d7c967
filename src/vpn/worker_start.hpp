// SPDX-License-Identifier: MIT
//
// How vpn's parent waits for its worker to begin (supervisor.hpp), with the signals held that would end it.
#pragma once

#include <array>
#include <csignal>
#include <optional>
#include <string>

#include <sys/types.h>

namespace zks::vpn {

inline constexpr std::array<int, 4> kSignals{SIGTERM, SIGINT, SIGHUP, SIGCHLD};

// What would end this process, or tell of the worker's end, waits while nobody could undo anything.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : kSignals) sigaddset(&held, signal);
    sigprocmask(SIG_BLOCK, &held, &before_);
  }
  ~SignalsHeld() { release(); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  void release() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// The status of a child that ends, as waitpid() has it.
int reap(pid_t pid);

// "signal 9"; of SIGSYS, which the filter of system calls sends, what it means.
std::string signal_text(int signal);

// Until the worker has what it needs. Otherwise the status to end with: nothing was changed, and the worker
// is gone. With SignalsHeld.
std::optional<int> wait_until_prepared(int socket, pid_t pid);

}  // namespace zks::vpn
