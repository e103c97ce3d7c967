// SPDX-License-Identifier: MIT
#include "session/send_side.hpp"

#include <cstring>

namespace zks::session {

std::size_t SendSide::prepare(std::uint64_t max_bytes, std::array<MutableBytes, 4>& pieces) {
  std::uint64_t left = std::min(max_bytes, room());
  std::uint64_t at = end_;
  std::size_t count = 0;
  while (left > 0 && count < pieces.size()) {
    MutableBytes space = store_.space_at(at);
    space = space.first(static_cast<std::size_t>(std::min<std::uint64_t>(space.size(), left)));
    pieces[count++] = space;
    at += space.size();
    left -= space.size();
  }
  return count;
}

void SendSide::commit(std::size_t count) {
  end_ += count;
  store_.trim_after(end_);
}

void SendSide::take(MutableBytes out) {
  while (!out.empty()) {
    const ByteView piece = store_.bytes_at(next_);
    const std::size_t size = std::min(piece.size(), out.size());
    std::memcpy(out.data(), piece.data(), size);
    out = out.subspan(size);
    next_ += size;
  }
  sent_ = std::max(sent_, next_);
}

Result<> SendSide::credit(std::uint64_t consumed, std::uint64_t limit) {
  const std::uint64_t sent = sent_ + (fin_ever_sent_ ? 1 : 0);
  if (consumed > sent) return make_error(ErrorKind::kProtocol, "credit for bytes that were not sent");
  limit_ = std::max(limit_, limit);
  if (fin_ever_sent_ && consumed == end_ + 1) fin_acknowledged_ = true;
  consumed = std::min(consumed, end_);
  if (consumed > consumed_) {
    consumed_ = consumed;
    next_ = std::max(next_, consumed_);
    store_.forget_before(consumed_);
    if (consumed_ == end_) store_.clear();
  }
  return {};
}

Result<> SendSide::rewind(std::uint64_t received) {
  const bool has_fin = fin_ever_sent_ && received == end_ + 1;
  const std::uint64_t bytes = has_fin ? end_ : received;
  if (bytes > sent_ || bytes < consumed_) {
    return make_error(ErrorKind::kProtocol, "a table that does not fit what was sent");
  }
  next_ = bytes;
  fin_sent_ = has_fin;
  return {};
}

void SendSide::drop() {
  consumed_ = next_ = sent_ = end_;
  finished_ = true;
  store_.forget_before(end_);
  store_.clear();
}

}  // namespace zks::session
