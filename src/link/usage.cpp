// SPDX-License-Identifier: MIT
//
// What each invite has used, kept by StateDirectory beside the invites and apart from them: this file changes
// while users are at it, the invites only when somebody decides something. Exits that share the directory
// each add what they carried, under the lock.
#include <algorithm>

#include "link/private_file.hpp"
#include "link/state_directory.hpp"
#include "link/state_files.hpp"

namespace zks::link {

Result<Usage> StateDirectory::load_usage() {
  const auto file = path_ / kUsageFile;
  const auto text = read_private_file(file, kMaxUsageFile);
  if (!text) return text.error();
  if (!text->has_value()) return Usage();
  Result<Usage> usage = decode_usage((*text)->view());
  if (!usage) {
    return make_error(usage.error().kind, file.string() + ": " + usage.error().text +
                                              " (without it every invite begins at nothing used)");
  }
  return usage;
}

Result<Usage> StateDirectory::change_usage(const Usage& known, const std::function<void(Usage&)>& change) {
  const Result<FileLock> lock = FileLock::acquire(path_ / kLockFile);
  if (!lock) return lock.error();
  const Result<std::vector<Invite>> invites = existing_invites();
  if (!invites) return invites.error();
  Result<Usage> usage = usage_version() == 0 ? Result<Usage>(known) : load_usage();
  if (!usage) return usage;
  change(*usage);
  const auto revoked = [&invites](const auto& entry) {
    return std::none_of(invites->begin(), invites->end(),
                        [&entry](const Invite& invite) { return invite.id == entry.first; });
  };
  std::erase_if(*usage, revoked);
  const auto file = path_ / kUsageFile;
  const auto before = read_private_file(file, kMaxUsageFile);
  if (!before) return before.error();
  remove_unfinished_writes(file);
  const Result<> written =
      write_file_atomically(file, encode_usage(*usage, *before ? (*before)->view() : "").view());
  if (!written) return written.error();
  return usage;
}

Result<Usage> StateDirectory::add_usage(const Usage& more, const Usage& known) {
  return change_usage(known, [&more](Usage& usage) {
    for (const auto& [id, bytes] : more) {
      std::uint64_t& used = usage[id];
      used = std::min(kMaxUsedBytes, used + std::min(bytes, kMaxUsedBytes));
    }
  });
}

Result<> StateDirectory::reset_usage(const InviteId& id) {
  const Result<Usage> done = change_usage({}, [&id](Usage& usage) { usage.erase(id); });
  if (!done) return done.error();
  return {};
}

}  // namespace zks::link
