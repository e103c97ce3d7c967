// SPDX-License-Identifier: MIT
//
// Records from arbitrary bytes, under fixed keys. The first byte of the input picks what happens:
//   0  the rest is a record for an opener: only the genuine one (of "genuine", record 0, epoch 0) may open
//   1  the same for an opener that also knows epoch 1
//   2  mask (1), position (2), frames: the frames are sealed, one byte is changed, and the record must not
//   open
#include "crypto/record.hpp"

#include <algorithm>
#include <cstdlib>

namespace {

using zks::Bytes;
using zks::ByteView;
using zks::crypto::kRecordHeader;
using zks::crypto::kRecordOverhead;
using zks::crypto::RecordOpener;
using zks::crypto::RecordSealer;

void require(bool condition) {
  if (!condition) std::abort();
}

zks::Key filled_key(std::uint8_t value) {
  zks::Key key;
  for (std::uint8_t& byte : key.mutable_view()) byte = value;
  return key;
}

RecordOpener make_opener() {
  return {filled_key(1), zks::Direction::kClientToExit, zks::Digest{}, filled_key(2)};
}

Bytes seal(ByteView frames) {
  RecordSealer sealer(filled_key(1), zks::Direction::kClientToExit, zks::Digest{}, filled_key(2));
  Bytes record(frames.size() + kRecordOverhead);
  std::copy(frames.begin(), frames.end(), record.begin() + kRecordHeader);
  require(sealer.seal(record).has_value());
  return record;
}

bool opens(RecordOpener& opener, Bytes record) {
  return opener.open(record).has_value();
}

void open_arbitrary(ByteView bytes, bool second_epoch) {
  static const Bytes genuine = seal(zks::as_bytes("genuine"));
  RecordOpener opener = make_opener();
  if (second_epoch) require(opener.set_epoch(1, filled_key(3)).has_value());
  const Bytes record(bytes.begin(), bytes.end());
  require(opens(opener, record) == (record == genuine));
  require(!opens(opener, genuine));  // a replay, or a dead opener
}

void open_changed(ByteView input) {
  zks::ByteReader reader(input);
  const auto mask = reader.u8();
  const auto position = reader.u16();
  if (!position) return;
  const Bytes genuine = seal(reader.rest());
  Bytes changed = genuine;
  changed[*position % changed.size()] ^= *mask;
  RecordOpener opener = make_opener();
  require(opens(opener, changed) == (*mask == 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  if (data[0] <= 1) open_arbitrary(rest, data[0] == 1);
  if (data[0] == 2) open_changed(rest);
  return 0;
}
