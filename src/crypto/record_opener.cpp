// SPDX-License-Identifier: MIT
//
// Opens records from the carrier, in place: outer cipher, then inner cipher and its tag (record.hpp has the
// formula). Only what is authentic goes on to the session's frame parser.
#include <optional>
#include <utility>

#include <sodium.h>

#include "crypto/record.hpp"
#include "crypto/record_keys.hpp"

namespace zks::crypto {

struct RecordOpener::State {
  State(Key key_local, Direction dir, const Digest& hash, const Key& epoch_key)
      : direction(dir),
        handshake_hash(hash),
        local(std::in_place, std::move(key_local), ChaChaPoly::Mode::kOpen),
        remote(std::in_place, dir, 0, hash, epoch_key) {}

  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { sodium_memzero(handshake_hash.data(), handshake_hash.size()); }

  bool dead() const { return !local; }
  Error die(const char* why) {
    if (local) records = local->n();
    local.reset();
    remote.reset();
    sodium_memzero(handshake_hash.data(), handshake_hash.size());
    next_remote.reset();
    return make_error(ErrorKind::kProtocol, why);
  }
  RemoteCipher* remote_for(std::uint8_t epoch_byte);
  void move_to_next_epoch();
  bool open(RemoteCipher& outer, MutableBytes record);

  Direction direction;
  Digest handshake_hash;
  std::uint64_t epoch = 0;    // of `remote`
  std::uint64_t records = 0;  // n at death
  std::optional<LocalCipher> local;
  std::optional<RemoteCipher> remote;
  std::optional<RemoteCipher> next_remote;  // of epoch + 1, once its key is known
};

// nullptr: a record of an epoch that is over, or whose key is not known.
RemoteCipher* RecordOpener::State::remote_for(std::uint8_t epoch_byte) {
  if (epoch_byte == static_cast<std::uint8_t>(epoch)) return &*remote;
  if (next_remote && epoch_byte == static_cast<std::uint8_t>(epoch + 1)) return &*next_remote;
  return nullptr;
}

void RecordOpener::State::move_to_next_epoch() {
  remote = std::move(next_remote);
  next_remote.reset();
  ++epoch;
}

// Leaves plaintext in the body before the tag is known to be right: the caller wipes it when this is false.
bool RecordOpener::State::open(RemoteCipher& outer, MutableBytes record) {
  const MutableBytes body = record.subspan(kRecordHeader, record.size() - kRecordOverhead);
  const MutableBytes tag = record.last(kRecordTag);
  if (!outer.start(local->n()) || !outer.apply(record.subspan(kRecordHeader))) return false;
  if (!local->start(record[0]) || !local->cipher().update(body)) return false;
  if (!local->cipher().finish_open(tag.first<kRecordTag>())) return false;
  local->done();
  return true;
}

RecordOpener::RecordOpener(Key key_local, Direction direction, const Digest& handshake_hash,
                           const Key& epoch_key)
    : state_(std::make_unique<State>(std::move(key_local), direction, handshake_hash, epoch_key)) {}
RecordOpener::RecordOpener(RecordOpener&&) noexcept = default;
RecordOpener& RecordOpener::operator=(RecordOpener&&) noexcept = default;
RecordOpener::~RecordOpener() = default;

Result<> RecordOpener::set_epoch(std::uint64_t epoch, const Key& relay_key) {
  if (state_->dead()) return make_error(ErrorKind::kProtocol, "record opener is dead");
  const std::uint64_t newest = state_->epoch + (state_->next_remote ? 1 : 0);
  if (epoch == 0 || epoch - 1 != newest) return state_->die("key epoch is not the next");
  // No record came in the epoch known before this one. The relay sends this key only after the sender said
  // that it has changed to that one, so no record of the oldest can be on its way any more.
  if (state_->next_remote) state_->move_to_next_epoch();
  state_->next_remote.emplace(state_->direction, epoch, state_->handshake_hash, relay_key);
  return {};
}

Result<MutableBytes> RecordOpener::open(MutableBytes record) {
  if (state_->dead()) return make_error(ErrorKind::kProtocol, "record opener is dead");
  if (record.size() < kRecordOverhead || record.size() > kRecordOverhead + kMaxBody) {
    return state_->die("record length is out of range");
  }
  if (state_->local->used_up()) return state_->die("record numbers are used up");
  RemoteCipher* const outer = state_->remote_for(record[0]);
  if (outer == nullptr) return state_->die("record is of another key epoch");
  const MutableBytes frames = record.subspan(kRecordHeader, record.size() - kRecordOverhead);
  if (!state_->open(*outer, record)) {
    sodium_memzero(frames.data(), frames.size());
    return state_->die("record is not authentic");
  }
  if (state_->next_remote && outer == &*state_->next_remote) state_->move_to_next_epoch();
  return frames;
}

std::uint64_t RecordOpener::records() const {
  return state_->local ? state_->local->n() : state_->records;
}
std::uint64_t RecordOpener::epoch() const {
  return state_->epoch;
}

}  // namespace zks::crypto
