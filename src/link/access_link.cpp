// SPDX-License-Identifier: MIT
#include "link/access_link.hpp"

#include <algorithm>
#include <utility>

#include <sodium.h>

namespace zks::link {
namespace {

constexpr std::string_view kSecureScheme = "zks://";
constexpr std::string_view kPlaintextScheme = "zks+ws://";
constexpr std::uint8_t kLinkVersion = 1;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kBodyBytes = 1 + sizeof(PublicKey) + sizeof(InviteId) + Key::kSize;
constexpr std::size_t kKeyBytes = kBodyBytes + kChecksumBytes;

Error wrong(std::string what) {
  return make_error(ErrorKind::kUsage, "access link: " + std::move(what));
}

Digest checksum(const Secret<kKeyBytes>& key) {
  return sha256(key.view().first<kBodyBytes>());
}

// The part after '#'. Decoded into a Secret, so that no copy stays on the heap.
Result<> parse_key(std::string_view text, AccessLink& link) {
  Secret<kKeyBytes> key;
  if (!decode_base64url(text, key.mutable_view())) {
    return wrong("the key after '#' is incomplete or damaged; copy the whole link");
  }
  if (key.data()[0] != kLinkVersion)
    return wrong("the key after '#' is of a version that this program does not know");
  const Digest digest = checksum(key);
  if (sodium_memcmp(digest.data(), key.data() + kBodyBytes, kChecksumBytes) != 0) {
    return wrong("the key after '#' is mistyped: its checksum does not match");
  }
  const std::uint8_t* from = key.data() + 1;
  std::copy_n(from, link.exit_public_key.size(), link.exit_public_key.begin());
  from += link.exit_public_key.size();
  std::copy_n(from, link.invite.size(), link.invite.begin());
  from += link.invite.size();
  std::copy_n(from, Key::kSize, link.psk.data());
  return {};
}

Result<> parse_pin(std::string_view query, AccessLink& link) {
  constexpr std::string_view kName = "pin=";
  if (!query.starts_with(kName)) return wrong("only ?pin= may stand after the room");
  link.pin = parse_name<sizeof(Digest)>(query.substr(kName.size()));
  if (!link.pin) return wrong("the pin is not 43 characters of base64url");
  return {};
}

// HOST[:PORT][,HOST[:PORT]...], each of which stands for a relay URL with the link's scheme and prefix.
Result<> parse_relays(std::string_view hosts, bool tls, std::string_view prefix, AccessLink& link) {
  while (true) {
    const std::size_t comma = hosts.find(',');
    const std::string_view host = hosts.substr(0, comma);
    if (link.relays.size() == kMaxRelays) return wrong("more than " + std::to_string(kMaxRelays) + " relays");
    std::string url(tls ? "wss://" : "ws://");
    url.append(host).append(prefix);
    Result<RelayUrl> relay = parse_relay_url(url);
    if (!relay) return wrong(relay.error().text);
    link.relays.push_back(std::move(*relay));
    if (comma == std::string_view::npos) return {};
    hosts.remove_prefix(comma + 1);
  }
}

// The part before '#', without its scheme: HOSTS[/PREFIX]/ROOM[?pin=PIN].
Result<> parse_place(std::string_view place, bool tls, AccessLink& link) {
  const std::size_t question = place.find('?');
  if (question != std::string_view::npos) {
    const Result<> pin = parse_pin(place.substr(question + 1), link);
    if (!pin) return pin;
    place = place.substr(0, question);
  }
  const std::size_t hosts_end = place.find('/');
  if (hosts_end == std::string_view::npos) return wrong("the room is missing after the relay's name");
  const std::size_t room_start = place.rfind('/') + 1;
  const auto room = parse_room(place.substr(room_start));
  if (!room) return wrong("the room is not 32 characters of base32");
  link.room = *room;
  const std::string_view prefix = place.substr(hosts_end, room_start - 1 - hosts_end);
  if (prefix == "/" || prefix.ends_with('/')) return wrong("an empty part in the path");
  return parse_relays(place.substr(0, hosts_end), tls, prefix, link);
}

}  // namespace

Result<AccessLink> parse_access_link(std::string_view text) {
  if (text.size() > kMaxLinkBytes) return wrong("longer than " + std::to_string(kMaxLinkBytes) + " bytes");
  const bool tls = text.starts_with(kSecureScheme);
  if (!tls && !text.starts_with(kPlaintextScheme)) return wrong("does not begin with zks:// or zks+ws://");
  const std::size_t hash = text.find('#');
  if (hash == std::string_view::npos) {
    return wrong("the key, '#' and what follows it, is missing; in a shell, put the link in single quotes");
  }
  const std::size_t scheme = tls ? kSecureScheme.size() : kPlaintextScheme.size();
  AccessLink link;
  const Result<> place = parse_place(text.substr(scheme, hash - scheme), tls, link);
  if (!place) return place.error();
  const Result<> key = parse_key(text.substr(hash + 1), link);
  if (!key) return key.error();
  return link;
}

std::string format_access_link(const AccessLink& link) {
  Secret<kKeyBytes> key;
  std::uint8_t* to = key.data();
  *to++ = kLinkVersion;
  to = std::copy(link.exit_public_key.begin(), link.exit_public_key.end(), to);
  to = std::copy(link.invite.begin(), link.invite.end(), to);
  to = std::copy_n(link.psk.data(), Key::kSize, to);
  const Digest digest = checksum(key);
  std::copy_n(digest.begin(), kChecksumBytes, to);

  const RelayUrl& first = link.relays.front();
  std::string out(first.tls ? kSecureScheme : kPlaintextScheme);
  for (const RelayUrl& relay : link.relays) {
    if (&relay != &first) out.push_back(',');
    out.append(relay.authority());
  }
  out.append(first.prefix).append("/").append(format_room(link.room));
  if (link.pin) out.append("?pin=").append(to_base64url(*link.pin));
  return out.append("#").append(to_base64url(key.view()));
}

}  // namespace zks::link
