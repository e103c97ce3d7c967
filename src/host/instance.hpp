// SPDX-License-Identifier: MIT
//
// One vpn in a network namespace: what it changes is there once, whatever state directories and file systems
// the processes have. And the journal of that namespace, which is found without being told where it is.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <sys/types.h>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace zks::host {

// /var/lib/zks/vpn, or what ZKS_VPN_DIR says, where that can't be written. It outlives a reboot, as
// resolv.conf does.
std::filesystem::path journal_directory();

struct Running {
  pid_t pid = 0;
  std::string state_dir;  // empty: not known to this user
};
// The vpn of this network namespace. Any user may ask.
std::optional<Running> who_runs(const std::filesystem::path& directory);
// Whether what a vpn changes is here, whoever left it. Of what may be seen without rights, for others than
// root.
bool is_set_up();

// Held as long as it lives, and let go by the kernel when the process dies. A child process that has it too
// destroys it at once.
class Instance {
 public:
  // kUsage: another vpn runs in this network namespace; the text says which.
  static Result<Instance> take(const std::filesystem::path& directory, const std::string& state_dir);
  Instance(Instance&&) = default;
  Instance& operator=(Instance&&) = default;
  ~Instance();

  // Readable when somebody has asked who runs; answer() lets go of them.
  int question() const { return socket_.get(); }
  void answer() const;

  std::string journal_file() const;
  // This machine's resolv.conf may be what a vpn left that ran before a reboot, or in a network namespace
  // that is gone, as after a container's restart: it is put back, and the journal forgets it. True if it was.
  Result<bool> put_back_resolv_conf() const;

 private:
  Instance() = default;

  std::filesystem::path directory_;
  std::string key_;  // of boot and network namespace
  Fd file_;          // locked; who runs is its content
  Fd socket_;        // an abstract name belongs to a network namespace
  pid_t owner_ = 0;
};

}  // namespace zks::host
