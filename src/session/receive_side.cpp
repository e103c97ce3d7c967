// SPDX-License-Identifier: MIT
#include "session/receive_side.hpp"

#include <algorithm>
#include <cstring>

namespace zks::session {

Result<> ReceiveSide::data(std::uint64_t offset, ByteView bytes) {
  std::uint64_t end = offset + bytes.size();  // frames.cpp keeps this below 2^62
  if (end > limit_) return make_error(ErrorKind::kProtocol, "data beyond the limit");
  if (final_ && end > *final_) return make_error(ErrorKind::kProtocol, "data beyond the final offset");
  if (end <= contiguous_) return {};
  if (offset < contiguous_) {
    bytes = bytes.subspan(static_cast<std::size_t>(contiguous_ - offset));
    offset = contiguous_;
  }
  if (auto noted = note_range(offset, end); !noted) return noted;
  while (!bytes.empty()) {
    const MutableBytes space = store_.space_at(offset);
    const std::size_t size = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), size);
    bytes = bytes.subspan(size);
    offset += size;
  }
  return {};
}

Result<> ReceiveSide::note_range(std::uint64_t from, std::uint64_t to) {
  if (from == contiguous_ && islands_.empty()) {  // the usual case: in order
    contiguous_ = to;
    return {};
  }
  auto next = islands_.upper_bound(from);
  if (next != islands_.begin() && std::prev(next)->second >= from) --next;
  while (next != islands_.end() && next->first <= to) {  // merge with what it touches
    from = std::min(from, next->first);
    to = std::max(to, next->second);
    next = islands_.erase(next);
  }
  if (from <= contiguous_) {
    contiguous_ = to;
    return {};
  }
  if (islands_.size() >= kMaxGaps) return make_error(ErrorKind::kProtocol, "too many gaps in a stream");
  islands_.emplace(from, to);
  return {};
}

Result<> ReceiveSide::fin(std::uint64_t final_offset) {
  const std::uint64_t received = islands_.empty() ? contiguous_ : islands_.rbegin()->second;
  if (final_ && *final_ != final_offset) return make_error(ErrorKind::kProtocol, "final offset changed");
  if (final_offset < received || final_offset > limit_) {
    return make_error(ErrorKind::kProtocol, "final offset out of range");
  }
  final_ = final_offset;
  return {};
}

std::size_t ReceiveSide::peek(std::array<ByteView, 8>& pieces) const {
  std::size_t count = 0;
  std::uint64_t at = consumed_;
  while (at < contiguous_ && count < pieces.size()) {
    ByteView piece = store_.bytes_at(at);
    piece = piece.first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), contiguous_ - at)));
    pieces[count++] = piece;
    at += piece.size();
  }
  return count;
}

void ReceiveSide::consume(std::uint64_t count) {
  consumed_ += count;
  store_.forget_before(consumed_);
  if (consumed_ == contiguous_ && islands_.empty()) store_.clear();
}

void ReceiveSide::credit_sent() {
  credited_ = consumed();
  repeat_credit_ = false;
  limit_ = std::max(limit_, consumed_ + window_);
}

bool ReceiveSide::wants_larger_window(TimePoint now, std::chrono::nanoseconds round_trip) {
  if (consumed_ - measured_from_ < window_ / 2) return false;
  const bool fast = now - measured_at_ < 2 * round_trip;
  measured_from_ = consumed_;
  measured_at_ = now;
  return fast && readable() <= window_ / 2 && !final_;
}

void ReceiveSide::drop() {
  islands_.clear();
  consumed_ = contiguous_;
  store_.forget_before(consumed_);
  store_.clear();
}

}  // namespace zks::session
