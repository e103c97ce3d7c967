// SPDX-License-Identifier: MIT
//
// The directory itself, the identities and the list of relays. The invites are in invites.cpp.
#include "link/state_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <pwd.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/access_link.hpp"
#include "link/private_file.hpp"
#include "link/state_files.hpp"

namespace zks::link {
namespace {

Error in_file(const std::filesystem::path& path, const Error& error) {
  return make_error(error.kind, path.string() + ": " + error.text, error.detail);
}

// Makes `path` and what is missing above it, each closed to others.
Result<> make_directories(const std::filesystem::path& path) {
  std::filesystem::path made;
  for (const auto& part : path) {
    made /= part;
    if (::mkdir(made.c_str(), 0700) != 0 && errno != EEXIST) {
      const int code = errno;
      if (std::filesystem::is_directory(made)) continue;  // EROFS, EACCES: above us, and there already
      return make_error(ErrorKind::kIo,
                        "make " + made.string() + ": " + std::generic_category().message(code), code);
    }
  }
  return {};
}

std::filesystem::path home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') return home;
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr ? entry->pw_dir : "/";
}

}  // namespace

std::filesystem::path StateDirectory::default_path() {
  // As root the environment does not decide: sudo may have kept that of the user.
  if (::geteuid() == 0) return "/var/lib/zks";
  // XDG base directory specification: a relative path in it is to be ignored.
  const char* base = std::getenv("XDG_STATE_HOME");
  if (base != nullptr && base[0] == '/') return std::filesystem::path(base) / "zks";
  return home_directory() / ".local/state/zks";
}

Result<StateDirectory> StateDirectory::open(const std::filesystem::path& path) {
  if (path.empty()) return make_error(ErrorKind::kUsage, "the state directory's name is empty");
  const Result<> made = make_directories(path);
  if (!made) return made.error();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return make_error(ErrorKind::kUsage, path.string() + " is not a directory: use another --state-dir");
  }
  if (status.st_uid != ::geteuid()) {
    return make_error(
        ErrorKind::kUsage,
        path.string() + " belongs to another user: run as that user, or use another --state-dir");
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return make_error(ErrorKind::kUsage,
                      path.string() + " holds secrets and is open to others: run chmod 700 " + path.string());
  }
  return StateDirectory(path);
}

// The file is replaced as a whole, so reading needs no lock: a disk that is full, or mounted read-only, keeps
// nobody from starting with what there is.
Result<std::optional<ExitIdentity>> StateDirectory::load_exit_identity() {
  const auto file = path_ / kIdentityFile;
  const auto text = read_private_file(file, kMaxIdentityFile);
  if (!text) return text.error();
  if (!text->has_value()) return std::optional<ExitIdentity>();
  Result<ExitIdentity> identity = decode_exit_identity((*text)->view());
  if (!identity) return in_file(file, identity.error());
  return std::optional<ExitIdentity>(std::move(*identity));
}

Result<ExitIdentity> StateDirectory::load_or_create_exit_identity() {
  auto found = load_exit_identity();
  if (!found) return found.error();
  if (*found) return std::move(**found);
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  found = load_exit_identity();  // another process may have been first
  if (!found) return found.error();
  if (*found) return std::move(**found);
  const auto file = path_ / kIdentityFile;
  std::error_code ignored;
  if (std::filesystem::exists(path_ / kInvitesFile, ignored)) {
    return make_error(ErrorKind::kIo,
                      file.string() +
                          " is missing although there are invites: put it back from a backup, or remove " +
                          kInvitesFile + " to begin anew (every link that was given out ends then)");
  }
  Key static_secret = Key::random();
  ExitIdentity identity = derive_exit_identity(Key::random(), std::move(static_secret));
  remove_unfinished_writes(file);
  const Result<> written = write_file_atomically(file, encode_exit_identity(identity).view());
  if (!written) return written.error();
  return identity;
}

Result<std::optional<Key>> StateDirectory::load_client_key() {
  const auto file = path_ / kClientFile;
  const auto text = read_private_file(file, kMaxIdentityFile);
  if (!text) return text.error();
  if (!text->has_value()) return std::optional<Key>();
  Result<Key> key = decode_client_key((*text)->view());
  if (!key) return in_file(file, key.error());
  return std::optional<Key>(std::move(*key));
}

Result<Key> StateDirectory::load_or_create_client_key() {
  auto found = load_client_key();
  if (!found) return found.error();
  if (*found) return std::move(**found);
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  found = load_client_key();
  if (!found) return found.error();
  if (*found) return std::move(**found);
  const auto file = path_ / kClientFile;
  Key key = Key::random();
  remove_unfinished_writes(file);
  const Result<> written = write_file_atomically(file, encode_client_key(key).view());
  if (!written) return written.error();
  return key;
}

Result<> StateDirectory::check_relays(const RelayList& list) {
  if (list.relays.empty() || list.relays.size() > kMaxRelays) {
    return make_error(ErrorKind::kUsage, "an exit needs 1 to " + std::to_string(kMaxRelays) + " relays");
  }
  const RelayUrl& first = list.relays.front();
  const auto alike = [&first](const RelayUrl& url) {
    return url.tls == first.tls && url.prefix == first.prefix;
  };
  if (!std::all_of(list.relays.begin(), list.relays.end(), alike)) {
    return make_error(ErrorKind::kUsage,
                      "the relays of one exit must agree in ws:// or wss:// and in the path");
  }
  return {};
}

Result<> StateDirectory::save_relays(const RelayList& list) {
  if (auto checked = check_relays(list); !checked) return checked;
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  const auto file = path_ / kRelaysFile;
  const auto before = read_private_file(file, kMaxRelaysFile);  // a damaged one is replaced
  const SecretText text = encode_relays(list, before && *before ? (*before)->view() : "");
  if (before && *before && (*before)->view() == text.view()) return {};
  remove_unfinished_writes(file);
  return write_file_atomically(file, text.view());
}

Result<RelayList> StateDirectory::load_relays() {
  const auto file = path_ / kRelaysFile;
  const auto text = read_private_file(file, kMaxRelaysFile);
  if (!text) return text.error();
  if (!text->has_value()) {
    return make_error(ErrorKind::kUsage, "no relay is known in " + path_.string() +
                                             " yet, since the exit has not registered with one; start it "
                                             "with `exit-peer --relay URL --state-dir " +
                                             path_.string() + "`");
  }
  Result<RelayList> list = decode_relays((*text)->view());
  if (!list) return in_file(file, list.error());
  return list;
}

bool StateDirectory::was_in_use() const {
  struct stat status {};
  return ::stat((path_ / kRelaysFile).c_str(), &status) == 0;
}

}  // namespace zks::link
