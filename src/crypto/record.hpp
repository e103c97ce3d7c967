// SPDX-License-Identifier: MIT
//
// The double-key record cipher (PROTOCOL.md, "Records"), on OpenSSL. Sans-IO, in place: the keys come from
// the handshake (noise.hpp) and the relay, frames from and to the session.
//
//   record     = epoch mod 256 (1) || body || tag (16)
//   (c, tag')  = ChaCha20-Poly1305(Key_local[dir], nonce = 0x00000000 || LE64(n), aad = epoch byte, frames)
//   body||tag  = (c || tag') xor AES-256-CTR(Key_remote[dir, epoch], iv = BE64(n) || BE64(0))
//   Key_remote[dir, epoch] = HKDF-SHA256(salt = handshake hash, ikm = the relay's key,
//                                        info = "zks/1 remote" || dir || BE64(epoch), length 32)
//
// n counts the records of one direction of one lane and never wraps. Key_local is ratcheted before record n
// when n > 0 and n mod 65,536 = 0; n goes on.
//
// Any error ends a sealer or an opener: its keys are wiped, every later call fails, and the lane has to go.
// Neither is thread-safe; a moved-from one may only be destroyed or assigned to. The constructors and
// set_epoch() throw when OpenSSL lacks a cipher or memory.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::crypto {

inline constexpr std::size_t kRecordHeader = 1;
inline constexpr std::size_t kRecordTag = 16;
inline constexpr std::size_t kRecordOverhead = kRecordHeader + kRecordTag;
inline constexpr std::size_t kMaxBody = 256 * 1024;
inline constexpr std::uint64_t kRatchetRecords = 65'536;

class RecordSealer {
 public:
  // `epoch_key` is the relay's key of epoch 0.
  RecordSealer(Key key_local, Direction direction, const Digest& handshake_hash, const Key& epoch_key);
  RecordSealer(RecordSealer&&) noexcept;
  RecordSealer& operator=(RecordSealer&&) noexcept;
  ~RecordSealer();

  // Moves to the next epoch. kProtocol unless `epoch` is exactly one more than the present one.
  Result<> set_epoch(std::uint64_t epoch, const Key& relay_key);

  // `buffer` holds kRecordHeader free bytes, then frames, then kRecordTag free bytes; it becomes the record.
  // kLimit when the body is over kMaxBody or n is used up; kProtocol when the buffer is too short.
  Result<> seal(MutableBytes buffer);

  std::uint64_t records() const;  // n of the next record
  std::uint64_t epoch() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class RecordOpener {
 public:
  RecordOpener(Key key_local, Direction direction, const Digest& handshake_hash, const Key& epoch_key);
  RecordOpener(RecordOpener&&) noexcept;
  RecordOpener& operator=(RecordOpener&&) noexcept;
  ~RecordOpener();

  // Makes the next epoch's key known; kProtocol unless `epoch` is exactly one more than the newest known. Two
  // epochs are kept: the older one is wiped at the first record of the newer, or when a third becomes known.
  Result<> set_epoch(std::uint64_t epoch, const Key& relay_key);

  // Opens the next record in place and returns the frames within it. Any failure is kProtocol, kills this
  // opener and reveals nothing decrypted.
  Result<MutableBytes> open(MutableBytes record);

  std::uint64_t records() const;
  std::uint64_t epoch() const;  // the oldest epoch that a record may still have; never goes back

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace zks::crypto
