// SPDX-License-Identifier: MIT
#include "host/preflight.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "host/mounts.hpp"
#include "host/resolvers.hpp"
#include "host/small_file.hpp"

namespace zks::host {
namespace {

struct Capability {
  unsigned number;
  const char* name;
  const char* what;
};
constexpr Capability kNeeded[] = {
    {CAP_NET_ADMIN, "NET_ADMIN", "the TUN device, routes and the kill switch"},
    {CAP_SYS_ADMIN, "SYS_ADMIN", "a network namespace of its own, in which connections end"},
    {CAP_SETUID, "SETUID", "the process without rights"},
    {CAP_SETGID, "SETGID", "the process without rights"},
    {CAP_KILL, "KILL", "ending the process without rights"},
};

Result<> check_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> has{};
  if (::syscall(SYS_capget, &header, has.data()) != 0) return {};  // what is missing will say so
  for (const Capability& needed : kNeeded) {
    constexpr unsigned kWordBits = 32;
    const auto word = has[needed.number / kWordBits].effective;
    if ((word >> (needed.number % kWordBits) & 1U) != 0) continue;
    return make_error(
        ErrorKind::kUsage,
        fmt::format("this process has no CAP_{0}, which {1} take; run it as root, and a container "
                    "with --cap-add {0}",
                    needed.name, needed.what));
  }
  return {};
}

// Why a file can't be replaced by rename or written, which root may all the same: chattr(1).
const char* attribute_of(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  int flags = 0;
  if (!file || ::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) != 0) return nullptr;
  if ((flags & FS_IMMUTABLE_FL) != 0) return "i";
  return (flags & FS_APPEND_FL) != 0 ? "a" : nullptr;
}

std::string why_not_written(const std::string& path) {
  if (const char* attribute = attribute_of(path)) {
    return fmt::format("it is made unchangeable; allow it with: chattr -{} {}", attribute, path);
  }
  if (::access(path.c_str(), W_OK) == 0) return "";
  return errno == EROFS ? "it is on a file system that is read-only; mount that, or the file, writable"
                        : std::strerror(errno);
}

// systemd-resolved is told by itself, and resolv.conf stays.
bool asks_resolved(const std::string& path) {
  const auto text = read_small_file(path);
  const auto servers = parse_name_servers(text ? *text : "");
  return std::ranges::any_of(servers, is_resolved_stub, &NameServer::address);
}

Result<> check_resolv_conf(const Plan& plan) {
  const std::string& path = plan.resolv_conf;
  if (!plan.dns || asks_resolved(path)) return {};
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  struct stat status {};
  const bool there = ::lstat(path.c_str(), &status) == 0;
  const bool mounted = there && !mounted_at(path).empty();
  const bool file = there && (S_ISREG(status.st_mode) || mounted);
  std::string why = why_not_written(directory);
  // In place, or by rename. What a link leads to is not touched.
  if (file && (mounted || !why.empty())) why = why_not_written(path);
  if (file && why.empty() && attribute_of(path) != nullptr) why = why_not_written(path);
  if (why.empty()) return {};
  return make_error(
      ErrorKind::kUsage,
      fmt::format("{} can't be replaced: {}; or leave it with --dns none, and point name service "
                  "at {} yourself",
                  path, why, plan.dns_ipv4.text()));
}

}  // namespace

Result<> check_machine(const Plan& plan) {
  if (auto checked = check_capabilities(); !checked) return checked;
  return check_resolv_conf(plan);
}

}  // namespace zks::host
