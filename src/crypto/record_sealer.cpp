// SPDX-License-Identifier: MIT
//
// Seals frames into records, in place: inner cipher, then outer cipher (record.hpp has the formula). The
// session's frames come in, the carrier takes the record.
#include <optional>
#include <utility>

#include <sodium.h>

#include "crypto/record.hpp"
#include "crypto/record_keys.hpp"

namespace zks::crypto {

struct RecordSealer::State {
  State(Key key_local, Direction dir, const Digest& hash, const Key& epoch_key)
      : direction(dir),
        handshake_hash(hash),
        local(std::in_place, std::move(key_local), ChaChaPoly::Mode::kSeal),
        remote(std::in_place, dir, 0, hash, epoch_key) {}

  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { sodium_memzero(handshake_hash.data(), handshake_hash.size()); }

  bool dead() const { return !local; }
  Error die(ErrorKind kind, const char* why) {
    if (local) records = local->n();
    local.reset();
    remote.reset();
    sodium_memzero(handshake_hash.data(), handshake_hash.size());
    return make_error(kind, why);
  }
  bool seal(MutableBytes buffer);

  Direction direction;
  Digest handshake_hash;
  std::uint64_t epoch = 0;
  std::uint64_t records = 0;  // n at death
  std::optional<LocalCipher> local;
  std::optional<RemoteCipher> remote;
};

bool RecordSealer::State::seal(MutableBytes buffer) {
  buffer[0] = static_cast<std::uint8_t>(epoch);
  const MutableBytes body = buffer.subspan(kRecordHeader, buffer.size() - kRecordOverhead);
  const MutableBytes tag = buffer.last(kRecordTag);
  if (!local->start(buffer[0]) || !local->cipher().update(body)) return false;
  if (!local->cipher().finish_seal(tag.first<kRecordTag>())) return false;
  if (!remote->start(local->n()) || !remote->apply(buffer.subspan(kRecordHeader))) return false;
  local->done();
  return true;
}

RecordSealer::RecordSealer(Key key_local, Direction direction, const Digest& handshake_hash,
                           const Key& epoch_key)
    : state_(std::make_unique<State>(std::move(key_local), direction, handshake_hash, epoch_key)) {}
RecordSealer::RecordSealer(RecordSealer&&) noexcept = default;
RecordSealer& RecordSealer::operator=(RecordSealer&&) noexcept = default;
RecordSealer::~RecordSealer() = default;

Result<> RecordSealer::set_epoch(std::uint64_t epoch, const Key& relay_key) {
  if (state_->dead()) return make_error(ErrorKind::kProtocol, "record sealer is dead");
  if (epoch == 0 || epoch - 1 != state_->epoch)
    return state_->die(ErrorKind::kProtocol, "key epoch is not the next");
  state_->remote.emplace(state_->direction, epoch, state_->handshake_hash, relay_key);
  state_->epoch = epoch;
  return {};
}

Result<> RecordSealer::seal(MutableBytes buffer) {
  if (state_->dead()) return make_error(ErrorKind::kProtocol, "record sealer is dead");
  if (buffer.size() < kRecordOverhead) return state_->die(ErrorKind::kProtocol, "record buffer is too short");
  if (buffer.size() > kRecordOverhead + kMaxBody) return state_->die(ErrorKind::kLimit, "record is too long");
  if (state_->local->used_up()) return state_->die(ErrorKind::kLimit, "record numbers are used up");
  if (!state_->seal(buffer)) {
    sodium_memzero(buffer.data(), buffer.size());  // half-sealed frames must not leave by mistake
    return state_->die(ErrorKind::kProtocol, "OpenSSL failed to seal a record");
  }
  return {};
}

std::uint64_t RecordSealer::records() const {
  return state_->local ? state_->local->n() : state_->records;
}
std::uint64_t RecordSealer::epoch() const {
  return state_->epoch;
}

}  // namespace zks::crypto
