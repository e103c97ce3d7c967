// SPDX-License-Identifier: MIT
//
// Varints (RFC 9000, section 16) and sized fields from arbitrary bytes: a failed read moves nothing, what was
// read can be written again, and the shortest form reads back as the same value.
#include <cstdlib>

#include "base/bytes.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_round_trip(std::uint64_t value, std::size_t size_read) {
  std::array<std::uint8_t, 8> buffer;
  zks::ByteWriter writer(buffer);
  require(writer.varint(value));
  require(writer.written() == zks::varint_size(value) && writer.written() <= size_read);
  zks::ByteReader again(zks::ByteView(buffer).first(writer.written()));
  require(again.varint() == value && again.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  zks::ByteReader reader({data, size});
  while (!reader.empty()) {
    const std::size_t before = reader.remaining();
    const auto value = reader.varint();
    if (!value) {
      require(reader.remaining() == before);
      break;
    }
    check_round_trip(*value, before - reader.remaining());
    const std::size_t at_field = reader.remaining();
    const auto field = reader.sized(*value);
    require(field ? field->size() <= *value && reader.remaining() < at_field
                  : reader.remaining() == at_field);
  }
  return 0;
}
