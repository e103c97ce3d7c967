// SPDX-License-Identifier: MIT
#include "packet/reassembly.hpp"

#include <algorithm>

#include "packet/checksum.hpp"

namespace zks::packet {
namespace {

std::array<std::uint8_t, 38> key_of(const Packet& packet) {
  std::array<std::uint8_t, 38> key{};
  key[0] = packet.is_ipv4() ? 4 : 6;
  std::copy(packet.source.bytes.begin(), packet.source.bytes.end(), key.begin() + 1);
  std::copy(packet.target.bytes.begin(), packet.target.bytes.end(), key.begin() + 17);
  store_be(packet.fragment->id, &key[33]);
  if (packet.is_ipv4()) key[37] = packet.fragment->protocol;  // IPv6 has it of the first fragment
  return key;
}

std::size_t cost(ByteView data) {
  return kFragmentCost + data.size();
}

}  // namespace

std::optional<ByteView> Reassembler::add(const Packet& packet, TimePoint now) {
  if (!packet.fragment) return std::nullopt;
  expire(now);
  const Key key = key_of(packet);
  auto at = parts_.find(key);
  if (at == parts_.end()) {
    if (parts_.size() == kMaxReassemblies) crowd_out(key);
    at = parts_.emplace(key, Parts{.begun = now}).first;
  }
  Parts& parts = at->second;
  if (parts.refused) return std::nullopt;
  if (!insert(key, parts, packet)) {
    refuse(parts);
    return std::nullopt;
  }
  if (parts.header.empty() || !parts.end || parts.received != *parts.end) return std::nullopt;
  if (!assemble(parts)) {
    refuse(parts);
    return std::nullopt;
  }
  ++counters_.completed;
  forget(at);
  return whole_;
}

// False: these can't be fragments of one packet.
bool Reassembler::insert(const Key& key, Parts& parts, const Packet& packet) {
  const Fragment& fragment = *packet.fragment;
  const std::size_t start = fragment.offset;
  const std::size_t end = start + fragment.data.size();
  const auto after = parts.pieces.lower_bound(start);
  if (after != parts.pieces.end() && after->first == start &&
      std::ranges::equal(after->second, fragment.data)) {
    return true;  // the same once more
  }
  if (after != parts.pieces.end() && after->first < end) return false;
  if (after != parts.pieces.begin()) {
    const auto& [offset, before] = *std::prev(after);
    if (offset + before.size() > start) return false;
  }
  if (parts.end && end > *parts.end) return false;
  if (!fragment.more && (parts.end || after != parts.pieces.end())) return false;
  if (parts.pieces.size() == kMaxFragments) return false;

  const ByteView header = start == 0 ? packet.whole.first(fragment.header) : ByteView();
  const std::size_t more = cost(fragment.data) + header.size();
  while (bytes_ + more > kMaxReassemblyBytes) crowd_out(key);
  bytes_ += more;
  parts.cost += more;
  if (start == 0) {
    parts.header.assign(header.begin(), header.end());
    parts.next_header = fragment.next_header;
    parts.protocol = fragment.protocol;
  }
  if (!fragment.more) parts.end = end;
  parts.received += fragment.data.size();
  parts.pieces.emplace(start, Bytes(fragment.data.begin(), fragment.data.end()));
  return true;
}

// False: with the header of its first fragment it is longer than an IP packet can be.
bool Reassembler::assemble(const Parts& parts) {
  const bool ipv4 = parts.header[0] >> 4 == 4;
  const std::size_t size = parts.header.size() + *parts.end;
  if (size - (ipv4 ? 0 : kIpv6Header) > kMaxPacket) return false;
  whole_.clear();
  whole_.reserve(size);
  whole_ = parts.header;
  for (const auto& [offset, piece] : parts.pieces) whole_.insert(whole_.end(), piece.begin(), piece.end());
  if (ipv4) {
    store_be(static_cast<std::uint16_t>(size), &whole_[2]);
    whole_[6] &= 0x40;  // DF
    whole_[7] = 0;
    whole_[10] = whole_[11] = 0;
    store_checksum(add_bytes(0, ByteView(whole_).first(parts.header.size())), &whole_[10]);
  } else {
    store_be(static_cast<std::uint16_t>(size - kIpv6Header), &whole_[4]);
    whole_[parts.next_header] = parts.protocol;
  }
  return true;
}

void Reassembler::refuse(Parts& parts) {
  bytes_ -= parts.cost;
  parts = Parts{.begun = parts.begun, .refused = true};
  ++counters_.refused;
}

void Reassembler::forget(Table::iterator at) {
  bytes_ -= at->second.cost;
  parts_.erase(at);
}

// Drops the oldest packet but the one at `key`. There is one wherever this is called: one packet alone takes
// less than kMaxReassemblyBytes.
void Reassembler::crowd_out(const Key& key) {
  auto oldest = parts_.end();
  for (auto at = parts_.begin(); at != parts_.end(); ++at) {
    if (at->first == key) continue;
    if (oldest == parts_.end() || at->second.begun < oldest->second.begun) oldest = at;
  }
  if (!oldest->second.refused) ++counters_.crowded_out;
  forget(oldest);
}

void Reassembler::expire(TimePoint now) {
  for (auto at = parts_.begin(); at != parts_.end();) {
    const auto current = at++;
    if (now - current->second.begun < kReassemblyTimeout) continue;
    if (!current->second.refused) ++counters_.timed_out;
    forget(current);
  }
}

}  // namespace zks::packet
