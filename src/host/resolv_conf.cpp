// SPDX-License-Identifier: MIT
#include "host/resolv_conf.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.hpp"
#include "base/bytes.hpp"
#include "base/log.hpp"
#include "host/mounts.hpp"
#include "host/resolv_settings.hpp"
#include "host/small_file.hpp"

namespace zks::host {
namespace {

using Form = ResolvConfChange::Form;

constexpr mode_t kReadable = 0644;

Result<std::string> read_link(const std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  if (size < 0) return system_error("read the link " + path, errno);
  return std::string(target.data(), static_cast<std::size_t>(size));
}

// Without `ours`.
Result<ResolvConfChange> look_at(const std::string& path) {
  ResolvConfChange out{.path = path};
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return out;
    return system_error("read " + path, errno);
  }
  out.before = S_ISLNK(status.st_mode) ? Form::kLink : Form::kFile;
  auto content = out.before == Form::kLink ? read_link(path) : read_small_file(path);
  if (!content) return content.error();
  out.content = std::move(*content);
  out.mode = status.st_mode & 07777;
  out.owner = status.st_uid;
  out.group = status.st_gid;
  return out;
}

Result<> write_in_place(const std::string& path, const std::string& content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return system_error("write " + path, errno);
  const ssize_t count = ::write(fd, content.data(), content.size());
  const int code = count == static_cast<ssize_t>(content.size()) ? ::fsync(fd) == 0 ? 0 : errno : EIO;
  ::close(fd);
  if (code != 0) return system_error("write " + path, code);
  return {};
}

Result<> write_file(const std::string& path, const std::string& content, mode_t mode, uid_t owner,
                    gid_t group) {
  if (!write_file_atomically(path, content, mode)) return write_in_place(path, content);
  if (::lchown(path.c_str(), owner, group) != 0) return system_error("give " + path + " to its owner", errno);
  // A change of owner takes set-id bits away.
  if (::chmod(path.c_str(), mode) != 0) return system_error("set the mode of " + path, errno);
  return {};
}

Result<> make_link(const std::string& target, const std::string& path) {
  // Named as those of base/atomic_file, which are looked for.
  const std::filesystem::path final_name(path);
  const std::string temporary = final_name.parent_path() / ("." + final_name.filename().string() + "." +
                                                            to_hex(random_array<8>()) + ".tmp");
  if (::symlink(target.c_str(), temporary.c_str()) != 0) return system_error("make the link " + path, errno);
  if (::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const int code = errno;
  ::unlink(temporary.c_str());
  return system_error("make the link " + path, code);
}

}  // namespace

Result<ResolvConfChange> plan_resolv_conf(const Plan& plan) {
  auto out = look_at(plan.resolv_conf);
  if (!out) return out;
  out->mounted_from = mounted_at(plan.resolv_conf);
  std::string settings;
  if (out->before == Form::kFile) settings = resolver_settings(out->content);
  if (out->before == Form::kLink) {
    // One that leads nowhere has none.
    const auto target = read_small_file(plan.resolv_conf);
    if (target) settings = resolver_settings(*target);
  }
  out->ours = fmt::format(
      "# Written by zks-tunnel-client while its tunnel is up; what was here comes back afterwards.\n"
      "{}nameserver {}\nnameserver {}\n",
      settings, plan.dns_ipv4.text(), plan.dns_ipv6.text());
  return out;
}

Result<> replace_resolv_conf(const ResolvConfChange& change) {
  if (change.before == Form::kFile) {
    return write_file(change.path, change.ours, change.mode, change.owner, change.group);
  }
  return write_file(change.path, change.ours, kReadable, ::geteuid(), ::getegid());
}

Result<> restore_resolv_conf(const ResolvConfChange& change) {
  if (const std::string here = mounted_at(change.path); here != change.mounted_from) {
    const auto name = [&](const std::string& root) { return root.empty() ? change.path : root; };
    return make_error(ErrorKind::kUsage,
                      fmt::format("the {} that was changed is {}, and here it is {}: undo it "
                                  "where vpn was started (ip netns exec)",
                                  change.path, name(change.mounted_from), name(here)));
  }
  remove_unfinished_writes(change.path);
  const auto now = look_at(change.path);
  if (!now) return now.error();
  const bool untouched = now->before == change.before && now->content == change.content;
  const bool ours = now->before == Form::kFile && now->content == change.ours;
  if (!ours) {
    if (!untouched) log::warn("{} was changed by another program meanwhile, and stays as it is", change.path);
    return {};
  }
  switch (change.before) {
    case Form::kFile:
      return write_file(change.path, change.content, change.mode, change.owner, change.group);
    case Form::kLink:
      return make_link(change.content, change.path);
    case Form::kMissing:
      if (::unlink(change.path.c_str()) != 0) return system_error("remove " + change.path, errno);
      return {};
  }
  return {};
}

}  // namespace zks::host
