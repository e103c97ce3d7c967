// SPDX-License-Identifier: MIT
//
// Bytes of one direction of a stream, addressed by their offset in it, in blocks of 16 KiB: what was appended
// or written and is not yet forgotten. The send side appends and re-reads at any offset until the peer has
// consumed; the receive side writes at any offset and reads from the front.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>

#include "base/bytes.hpp"

namespace zks::session {

inline constexpr std::size_t kBlockBytes = 16 * 1024;

class ByteStore {
 public:
  std::uint64_t begin() const { return begin_; }
  std::size_t blocks() const { return blocks_.size(); }
  std::size_t memory_bytes() const { return blocks_.size() * kBlockBytes; }

  // Forgets everything before `offset`; whole blocks are freed.
  void forget_before(std::uint64_t offset) {
    begin_ = offset;
    while (!blocks_.empty() && first_ + kBlockBytes <= begin_) {
      blocks_.pop_front();
      first_ += kBlockBytes;
    }
    if (blocks_.empty()) first_ = begin_;
  }

  // The bytes from `offset` to the end of its block, the block made if it is not there.
  MutableBytes space_at(std::uint64_t offset) {
    const std::uint64_t index = (offset - first_) / kBlockBytes;
    while (blocks_.size() <= index) blocks_.push_back(std::make_unique_for_overwrite<Block>());
    const std::size_t within = static_cast<std::size_t>((offset - first_) % kBlockBytes);
    return MutableBytes(*blocks_[static_cast<std::size_t>(index)]).subspan(within);
  }

  // The bytes from `offset` to the end of its block. The block must be there.
  ByteView bytes_at(std::uint64_t offset) const {
    const std::uint64_t index = (offset - first_) / kBlockBytes;
    const std::size_t within = static_cast<std::size_t>((offset - first_) % kBlockBytes);
    return ByteView(*blocks_[static_cast<std::size_t>(index)]).subspan(within);
  }

  // Frees blocks that lie wholly at or after `end`: made by space_at() and then not used.
  void trim_after(std::uint64_t end) {
    while (!blocks_.empty() && first_ + (blocks_.size() - 1) * kBlockBytes >= end) blocks_.pop_back();
    if (blocks_.empty()) first_ = begin_;
  }

  void clear() {
    blocks_.clear();
    first_ = begin_;
  }

 private:
  using Block = std::array<std::uint8_t, kBlockBytes>;

  std::deque<std::unique_ptr<Block>> blocks_;
  std::uint64_t first_ = 0;  // offset of the first byte of blocks_[0]
  std::uint64_t begin_ = 0;  // lowest offset still kept; within the first block
};

}  // namespace zks::session
