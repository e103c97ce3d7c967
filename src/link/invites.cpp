// SPDX-License-Identifier: MIT
//
// The invites of StateDirectory. Writers (the exit that pins a device, `invite`, `revoke`) read, change and
// replace the file under the lock, so none of them undoes the work of another.
#include <algorithm>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "link/private_file.hpp"
#include "link/state_directory.hpp"
#include "link/state_files.hpp"

namespace zks::link {
namespace {

constexpr std::chrono::hours kLongestLifetime{24 * 36525};  // a hundred years

std::int64_t seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

// Under the lock.
Result<> save(const std::filesystem::path& directory, const std::vector<Invite>& invites) {
  const auto file = directory / kInvitesFile;
  const auto before = read_private_file(file, kMaxInvitesFile);
  if (!before) return before.error();
  remove_unfinished_writes(file);
  return write_file_atomically(file, encode_invites(invites, *before ? (*before)->view() : "").view());
}

std::vector<Invite>::iterator find_name(std::vector<Invite>& invites, const std::string& name) {
  return std::find_if(invites.begin(), invites.end(),
                      [&name](const Invite& each) { return each.name == name; });
}

Result<> check_terms(const Terms& terms) {
  const auto wrong = [](std::string text) { return make_error(ErrorKind::kUsage, std::move(text)); };
  if (terms.rules() > kMaxRules) {
    return wrong("an invite has at most " + std::to_string(kMaxRules) +
                 " rules; rules for all users belong to the exit");
  }
  const auto too_long = [](const std::string& rule) { return rule.size() > kMaxRuleBytes; };
  if (std::any_of(terms.allow.begin(), terms.allow.end(), too_long) ||
      std::any_of(terms.deny.begin(), terms.deny.end(), too_long) ||
      std::any_of(terms.allow_listen.begin(), terms.allow_listen.end(), too_long)) {
    return wrong("a rule is longer than " + std::to_string(kMaxRuleBytes) + " bytes");
  }
  return {};
}

Result<> check_new(const std::string& name, std::optional<std::chrono::seconds> lifetime,
                   std::uint32_t max_devices) {
  const auto wrong = [](std::string text) { return make_error(ErrorKind::kUsage, std::move(text)); };
  if (!valid_invite_name(name))
    return wrong("an invite's name is 1 to 64 letters, digits, dots, dashes and underscores");
  if (lifetime && (lifetime->count() <= 0 || *lifetime > kLongestLifetime)) {
    return wrong("an invite's lifetime is between one second and a hundred years");
  }
  if (max_devices < 1 || max_devices > kMaxDevices) {
    return wrong("an invite is for 1 to " + std::to_string(kMaxDevices) + " devices");
  }
  return {};
}

Error no_such_invite(const std::filesystem::path& directory) {
  return make_error(ErrorKind::kUsage,
                    "there is no such invite: `invites` lists those of " + directory.string());
}

// Device, inode, size and time of change of a file, in one number; 0 when it is not there.
std::uint64_t version_of(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return 0;
  const std::array<std::uint64_t, 5> parts = {
      static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
      static_cast<std::uint64_t>(status.st_size), static_cast<std::uint64_t>(status.st_mtim.tv_sec),
      static_cast<std::uint64_t>(status.st_mtim.tv_nsec)};
  std::array<std::uint8_t, sizeof(parts)> bytes{};
  for (std::size_t i = 0; i < parts.size(); ++i) store_be(parts[i], bytes.data() + i * sizeof(std::uint64_t));
  return load_be<std::uint64_t>(sha256(bytes).data());
}

}  // namespace

Invite Invite::clone() const {
  Invite copy;
  copy.id = id;
  copy.name = name;
  copy.psk = psk.clone();
  copy.created = created;
  copy.expires = expires;
  copy.max_devices = max_devices;
  copy.devices = devices;
  copy.terms = terms;
  copy.unknown_terms = unknown_terms;
  return copy;
}

// In the lock file, which nobody deletes with the invites: it is empty before there were any.
bool StateDirectory::had_invites() const {
  struct stat status {};
  return ::stat((path_ / kLockFile).c_str(), &status) == 0 && status.st_size > 0;
}

void StateDirectory::mark_invites() {
  if (had_invites()) return;
  const Fd lock(::open((path_ / kLockFile).c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  // Without the mark a file that is missing is taken for a first start, as it was before there were marks.
  if (lock && ::write(lock.get(), kInvitesFile, std::strlen(kInvitesFile)) < 0) return;
}

Result<std::vector<Invite>> StateDirectory::load_invites() {
  if (invites_version() == 0 && !had_invites()) return std::vector<Invite>();
  return existing_invites();
}

Result<std::vector<Invite>> StateDirectory::existing_invites() {
  const auto file = path_ / kInvitesFile;
  const auto text = read_private_file(file, kMaxInvitesFile);
  if (!text) return text.error();
  if (!text->has_value()) {
    return make_error(ErrorKind::kIo,
                      file.string() +
                          " is missing: put it back from a backup, or write {\"version\":1,\"invites\":[]} "
                          "into it (chmod 600) to begin without any invite");
  }
  Result<std::vector<Invite>> invites = decode_invites((*text)->view());
  if (!invites) return make_error(invites.error().kind, file.string() + ": " + invites.error().text);
  return invites;
}

Result<Invite> StateDirectory::add_invite(const std::string& name,
                                          std::optional<std::chrono::seconds> lifetime,
                                          std::uint32_t max_devices, const Terms& terms) {
  const Result<> checked = check_new(name, lifetime, max_devices);
  if (!checked) return checked.error();
  const Result<> terms_checked = check_terms(terms);
  if (!terms_checked) return terms_checked.error();
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  Result<std::vector<Invite>> invites = load_invites();
  if (!invites) return invites.error();
  if (find_name(*invites, name) != invites->end()) {
    return make_error(ErrorKind::kUsage,
                      "there is an invite named " + name + " already: revoke it first, or use another name");
  }
  if (invites->size() >= kMaxInvites) {
    return make_error(ErrorKind::kUsage,
                      "there are " + std::to_string(kMaxInvites) + " invites already: revoke some first");
  }
  Invite invite;
  invite.id = random_array<sizeof(InviteId)>();
  invite.name = name;
  invite.psk = Key::random();
  invite.created = seconds_since_1970();
  invite.expires = lifetime ? invite.created + lifetime->count() : 0;
  invite.max_devices = max_devices;
  invite.terms = terms;
  invites->push_back(invite.clone());
  const Result<> saved = save(path_, *invites);
  if (!saved) return saved.error();
  mark_invites();
  return invite;
}

Result<InviteId> StateDirectory::revoke_invite(const std::string& name) {
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  Result<std::vector<Invite>> invites = load_invites();
  if (!invites) return invites.error();
  const auto found = find_name(*invites, name);
  if (found == invites->end()) return no_such_invite(path_);
  const InviteId id = found->id;
  invites->erase(found);
  const Result<> saved = save(path_, *invites);
  if (!saved) return saved.error();
  return id;
}

Result<Invite> StateDirectory::change_terms(const std::string& name,
                                            const std::function<Result<>(Terms&)>& change) {
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  Result<std::vector<Invite>> invites = load_invites();
  if (!invites) return invites.error();
  const auto found = find_name(*invites, name);
  if (found == invites->end()) return no_such_invite(path_);
  const Terms before = found->terms;
  const Result<> changed = change(found->terms);
  if (!changed) return changed.error();
  const Result<> checked = check_terms(found->terms);
  if (!checked) return checked.error();
  Invite out = found->clone();
  if (found->terms == before) return out;
  const Result<> saved = save(path_, *invites);
  if (!saved) return saved.error();
  return out;
}

Result<> StateDirectory::pin_device(const InviteId& id, const PublicKey& device, std::int64_t now) {
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  Result<std::vector<Invite>> invites = existing_invites();
  if (!invites) return invites.error();
  const auto found =
      std::find_if(invites->begin(), invites->end(), [&id](const Invite& each) { return each.id == id; });
  if (found == invites->end()) return make_error(ErrorKind::kRefused, "the invite was revoked");
  if (found->expired(now)) return make_error(ErrorKind::kRefused, "the invite has expired");
  std::vector<PublicKey>& devices = found->devices;
  if (std::find(devices.begin(), devices.end(), device) != devices.end()) return {};
  if (devices.size() >= found->max_devices)
    return make_error(ErrorKind::kRefused, "the invite is used by all its devices");
  devices.push_back(device);
  mark_invites();
  return save(path_, *invites);
}

std::uint64_t StateDirectory::invites_version() const {
  return version_of(path_ / kInvitesFile);
}

std::uint64_t StateDirectory::usage_version() const {
  return version_of(path_ / kUsageFile);
}

}  // namespace zks::link
