// SPDX-License-Identifier: MIT
#include "host/instance.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.hpp"
#include "host/firewall.hpp"
#include "host/journal.hpp"
#include "host/mounts.hpp"
#include "host/resolv_conf.hpp"
#include "host/routing.hpp"
#include "host/small_file.hpp"

namespace zks::host {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAbstractName("\0zks-tunnel-vpn", 15);
constexpr int kTries = 20;  // one that looks after what others left has their lock for a moment
constexpr std::chrono::milliseconds kBetweenTries{25};
constexpr int kBacklog = 128;  // who asks before answer() is called
constexpr std::size_t kBootLength = 8;

std::string boot() {
  const auto id = read_small_file("/proc/sys/kernel/random/boot_id");
  return id ? id->substr(0, kBootLength) : "boot";
}

// Inodes of namespaces are used again; the cookie is not, until the next boot. Linux 5.14.
std::string key_of_namespace() {
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0) {
    return boot() + "-" + std::to_string(cookie);
  }
  struct stat status {};
  (void)::stat("/proc/self/ns/net", &status);
  return boot() + "-i" + std::to_string(status.st_ino);
}

std::string lock_file(const fs::path& directory, const std::string& key) {
  return directory / (key + ".lock");
}

Result<> make_directory(const fs::path& directory) {
  for (const fs::path& path : {directory.parent_path(), directory}) {
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return make_error(ErrorKind::kUsage, "can't make " + path.string() +
                                             ", for what is to be undone: " + std::strerror(errno) +
                                             "; name a directory that outlives this program in ZKS_VPN_DIR");
  }
  struct stat status {};
  if (::lstat(directory.c_str(), &status) != 0) return system_error("read " + directory.string(), errno);
  if (S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
      (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
    return {};
  }
  return make_error(ErrorKind::kUsage, directory.string() +
                                           " says what is undone as root, and is no directory that you alone "
                                           "may write: look into it, and remove it");
}

sockaddr_un abstract_address() {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::memcpy(out.sun_path, kAbstractName.data(), kAbstractName.size());
  return out;
}
constexpr socklen_t kAddressSize = offsetof(sockaddr_un, sun_path) + kAbstractName.size();

// Who listens at the abstract name; only root is believed, as anybody may take it.
pid_t pid_at_name() {
  const Fd asking(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = abstract_address();
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  (void)::setsockopt(asking.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  ucred who{};
  socklen_t size = sizeof(who);
  if (::connect(asking.get(), reinterpret_cast<const sockaddr*>(&address), kAddressSize) != 0) return 0;
  if (::getsockopt(asking.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != 0) return 0;
  return who.pid;
}

// Locks of a file's description, which fcntl(2) can look at without taking them.
struct flock whole(short type) {
  struct flock out {};
  out.l_type = type;
  out.l_whence = SEEK_SET;
  return out;
}

bool is_locked(const Fd& file) {
  struct flock look = whole(F_WRLCK);
  return ::fcntl(file.get(), F_OFD_GETLK, &look) == 0 && look.l_type != F_UNLCK;
}

// The lock of `path`, which whoever had it before may just have removed. Nothing: another has it.
Result<Fd> take_lock(const std::string& path) {
  for (int i = 0; i < kTries; ++i) {
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return system_error("write " + path, errno);
    struct flock wanted = whole(F_WRLCK);
    struct stat held {};
    struct stat named {};
    if (::fcntl(file.get(), F_OFD_SETLK, &wanted) != 0) return Fd();
    const bool same = ::fstat(file.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
                      held.st_ino == named.st_ino && held.st_dev == named.st_dev;
    if (same) return file;
  }
  return Fd();
}

Running read_owner(const std::string& path) {
  const auto text = read_small_file(path);
  const auto json = nlohmann::json::parse(text ? *text : "", nullptr, /*allow_exceptions=*/false);
  Running out;
  if (!json.is_object()) return out;
  const auto pid = json.find("pid");
  const auto directory = json.find("state_dir");
  if (pid != json.end() && pid->is_number_integer()) out.pid = pid->get<pid_t>();
  if (directory != json.end() && directory->is_string()) out.state_dir = directory->get<std::string>();
  return out;
}

Error already_runs(const Running& other) {
  std::string text = "a vpn runs in this network namespace already";
  if (other.pid > 0) text += ": process " + std::to_string(other.pid);
  if (!other.state_dir.empty()) text += ", state directory " + other.state_dir;
  return make_error(ErrorKind::kUsage,
                    text + "; end that one first, which undoes what it changed: " +
                        (other.pid > 0 ? "kill " + std::to_string(other.pid) : "where it was started"));
}

bool is_left_here(const Change& change) {
  const auto* file = std::get_if<ResolvConfChange>(&change);
  if (file == nullptr || file->mounted_from != mounted_at(file->path)) return false;
  const auto now = read_small_file(file->path);
  return now && *now == file->ours;
}

}  // namespace

fs::path journal_directory() {
  const char* told = std::getenv("ZKS_VPN_DIR");
  return told != nullptr && *told != '\0' ? told : "/var/lib/zks/vpn";
}

std::optional<Running> who_runs(const fs::path& directory) {
  const std::string path = lock_file(directory, key_of_namespace());
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  Running owner = file ? read_owner(path) : Running{};
  const pid_t pid = pid_at_name();
  if (pid > 0 && pid == owner.pid) return owner;
  if (pid > 0) return Running{pid, ""};
  if (file && is_locked(file)) return owner;
  return std::nullopt;
}

bool is_set_up() {
  const auto routing = has_routing();
  return (routing && *routing) || has_firewall();
}

Result<Instance> Instance::take(const fs::path& directory, const std::string& state_dir) {
  if (auto made = make_directory(directory); !made) return made.error();
  Instance out;
  out.directory_ = directory;
  out.key_ = key_of_namespace();
  const std::string path = lock_file(directory, out.key_);
  for (int i = 0; i < kTries && !out.file_; ++i) {
    if (i > 0) std::this_thread::sleep_for(kBetweenTries);
    auto file = take_lock(path);
    if (!file) return file.error();
    out.file_ = std::move(*file);
  }
  if (!out.file_) return already_runs(who_runs(directory).value_or(Running{}));
  out.owner_ = ::getpid();
  out.socket_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const sockaddr_un address = abstract_address();
  const bool named =
      ::bind(out.socket_.get(), reinterpret_cast<const sockaddr*>(&address), kAddressSize) == 0 &&
      ::listen(out.socket_.get(), kBacklog) == 0;
  // With another file system, as a container has that shares this machine's network.
  if (const pid_t other = named ? 0 : pid_at_name(); other > 0) return already_runs({other, ""});
  std::error_code ignored;
  const std::string owner =
      nlohmann::json{{"pid", out.owner_}, {"state_dir", fs::absolute(state_dir, ignored).string()}}.dump();
  if (::ftruncate(out.file_.get(), 0) != 0 ||
      ::write(out.file_.get(), owner.data(), owner.size()) != static_cast<ssize_t>(owner.size())) {
    return system_error("write " + path, errno);
  }
  return out;
}

Instance::~Instance() {
  if (file_ && owner_ == ::getpid()) ::unlink(lock_file(directory_, key_).c_str());
}

void Instance::answer() const {
  while (Fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC))) {
  }
}

std::string Instance::journal_file() const {
  return directory_ / (key_ + ".journal");
}

Result<bool> Instance::put_back_resolv_conf() const {
  bool any = false;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory_, failed)) {
    const std::string key = entry.path().stem();
    if (entry.path().extension() != ".journal" || key == key_) continue;
    const auto lock = take_lock(lock_file(directory_, key));
    if (!lock || !*lock) continue;  // it runs
    auto journal = Journal::open(entry.path());
    if (!journal) continue;
    std::vector<Change> kept;
    for (const Change& change : journal->changes()) {
      const auto* file = std::get_if<ResolvConfChange>(&change);
      if (file != nullptr && is_left_here(change)) {
        if (auto restored = restore_resolv_conf(*file); !restored) return restored.error();
        any = true;
      } else if (file != nullptr || key.starts_with(boot())) {
        kept.push_back(change);
      }
    }
    if (auto written = journal->keep(std::move(kept)); !written) return written.error();
    ::unlink(lock_file(directory_, key).c_str());
  }
  return any;
}

}  // namespace zks::host
