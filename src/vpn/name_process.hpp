// SPDX-License-Identifier: MIT
//
// The third process of vpn: it asks the name servers outside for the relays' addresses and reads what they
// say, so that root does not. It is nobody, with the worker's filter of system calls, has nothing but its end
// of a pair of sockets, and gets marked sockets from the parent, one for each query; the kill switch lets
// these reach the name servers. It is not the worker: what it says is where the kill switch opens, and who
// takes the worker over must not say that. Nor has it the parent's memory, where the link is: it begins as a
// program anew.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/fd.hpp"

namespace zks::vpn {

class NameProcess {
 public:
  NameProcess() = default;  // none
  NameProcess(pid_t pid, Fd socket) : pid_(pid), socket_(std::move(socket)) {}

  bool runs() const { return pid_ != 0; }
  pid_t pid() const { return pid_; }
  Fd release_socket() { return std::move(socket_); }
  // Once, the status of one that has ended by itself.
  std::optional<int> ended();
  // At once. One whose parent is killed ends too, with the pair.
  void end();

 private:
  pid_t pid_ = 0;
  Fd socket_;
};

// In place of a process the status to end with: it could not give up its rights, and has said why.
struct NameProcessStart {
  NameProcess process;
  std::optional<int> status;
};
// Forks, with SignalsHeld (worker_start.hpp), before there are threads, loops or devices. `program` is
// executed, a path and arguments, of which the last is the user to become; its main calls run_name_process().
// With one argument, the user, the child goes on as it is, for tests.
NameProcessStart start_name_process(const std::vector<std::string>& program);

// The word by which a program knows that it is to call run_name_process().
inline constexpr std::string_view kNameMode = "vpn-names";
// The status to end with, once the parent is gone. Nobody else can start it: without the pair it is wrong
// usage.
int run_name_process(const std::string& user);

}  // namespace zks::vpn
