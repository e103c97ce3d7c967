// SPDX-License-Identifier: MIT
//
// The state directory (0700) and its files (0600): the exit's identity and invites, the client's identity.
// Every file is replaced atomically (temporary file, fsync, rename, fsync of the directory), under a lock
// where more than one process writes: a crash leaves the old file or the new one, never half of one.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/names.hpp"
#include "base/relay_url.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "link/terms.hpp"

namespace zks::link {

using zks::write_file_atomically;  // for the exit's link file, which is as secret as the files here

inline constexpr std::size_t kMaxInvites = 1024;
inline constexpr std::uint32_t kDefaultDevices = 5;
inline constexpr std::uint32_t kMaxDevices = 64;

struct ExitIdentity {
  Secret<64> room_secret;  // Ed25519 secret key in libsodium's form (seed || public key)
  PublicKey room_public{};
  Key static_secret;  // X25519
  PublicKey static_public{};
  RoomId room{};
};

struct Invite {
  InviteId id{};
  std::string name;  // 1 to 64 of [A-Za-z0-9._-], unique
  Key psk;
  std::int64_t created = 0;  // seconds since 1970
  std::int64_t expires = 0;  // 0: never
  std::uint32_t max_devices = kDefaultDevices;
  std::vector<PublicKey> devices;  // client static keys, pinned at their first authentic record
  Terms terms;
  bool unknown_terms = false;  // there are more, of a newer version: kept in the file and not applied

  Invite clone() const;
  bool expired(std::int64_t now) const { return expires != 0 && now >= expires; }
};

// Bytes that the streams and datagrams of each invite have carried, both directions; none: not listed.
using Usage = std::map<InviteId, std::uint64_t>;
inline constexpr std::uint64_t kMaxUsedBytes = std::uint64_t{1} << 62;  // counting stops there

// The relays an exit uses, kept so that `invite` can write links.
struct RelayList {
  std::vector<RelayUrl> relays;
  std::optional<Digest> pin;
};

class StateDirectory {
 public:
  // Makes the directory (0700) when it is not there; kUsage when it is not ours or open to others.
  static Result<StateDirectory> open(const std::filesystem::path& path);
  // As root /var/lib/zks, otherwise $XDG_STATE_HOME/zks or ~/.local/state/zks.
  static std::filesystem::path default_path();

  const std::filesystem::path& path() const { return path_; }

  Result<ExitIdentity> load_or_create_exit_identity();
  Result<Key> load_or_create_client_key();  // X25519 secret key

  using RelayList = link::RelayList;
  // kUsage unless there are 1 to kMaxRelays, all of one scheme and prefix: a link can't say more.
  static Result<> check_relays(const RelayList& relays);
  Result<> save_relays(const RelayList& relays);
  Result<RelayList> load_relays();  // kUsage before the exit has registered once
  bool was_in_use() const;          // it has: there is a list, whatever is in it

  // None at a first start. Later a file that is missing is kIo: that somebody deleted or unmounted it does
  // not say that nobody is to come in.
  Result<std::vector<Invite>> load_invites();
  void mark_invites();  // there are some, whatever becomes of the file
  // The same, where a file that is missing is kIo at any time.
  Result<std::vector<Invite>> existing_invites();
  Result<Invite> add_invite(const std::string& name, std::optional<std::chrono::seconds> lifetime,
                            std::uint32_t max_devices,
                            const Terms& terms = {});  // kUsage: name taken or malformed, too many rules
  // Gives the invite other terms; `change` gets those that it has. kUsage: no such invite, too many rules, or
  // what `change` says.
  Result<Invite> change_terms(const std::string& name, const std::function<Result<>(Terms&)>& change);
  Result<InviteId> revoke_invite(const std::string& name);
  // Adds `device` to the invite's pinned keys unless it is there already; kRefused when the invite is gone,
  // expired at `now` (seconds since 1970) or full. On success it is on disk.
  Result<> pin_device(const InviteId& invite, const PublicKey& device, std::int64_t now);

  // Changes whenever the invites file does (device, inode, mtime, size), 0 when it is not there; for cheap
  // polling by a running exit.
  std::uint64_t invites_version() const;

  Result<Usage> load_usage();
  // Adds `more` to what stands there, or to what the caller `knows` where the file is missing; forgets
  // invites that are gone, and says what stands there now.
  Result<Usage> add_usage(const Usage& more, const Usage& known = {});
  Result<> reset_usage(const InviteId& invite);
  std::uint64_t usage_version() const;  // as invites_version()

 private:
  bool had_invites() const;
  explicit StateDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  Result<std::optional<ExitIdentity>> load_exit_identity();
  Result<std::optional<Key>> load_client_key();
  Result<Usage> change_usage(const Usage& known, const std::function<void(Usage&)>& change);
  std::filesystem::path path_;
};

}  // namespace zks::link
