// SPDX-License-Identifier: MIT
#include "frontdoor/http_body.hpp"

#include <algorithm>
#include <cstdio>

namespace zks::frontdoor {
namespace {

using FramingKind = BodyFraming::Kind;

constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::size_t kMaxSizeDigits = 15;  // 2^60 bytes

int hex_value(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A lone CR or LF would end a line for some readers and not for others.
bool is_text(std::uint8_t c) {
  return c == '\t' || (c >= 0x20 && c != 0x7f);
}

}  // namespace

BodyReader::BodyReader(BodyFraming framing, LineEnd line_end)
    : kind_(framing.kind), line_end_(line_end), remaining_(framing.length) {
  if (kind_ == FramingKind::kChunked) {
    remaining_ = 0;
    state_ = State::kSize;
  } else if (kind_ == FramingKind::kNone || (kind_ == FramingKind::kLength && remaining_ == 0)) {
    state_ = State::kDone;
  }
}

ByteView BodyReader::next(ByteView& input) {
  while (!input.empty() && !done() && !failed()) {
    if (state_ != State::kData) {
      state_ = on_line_byte(input.front());
      input = input.subspan(1);
      continue;
    }
    const std::size_t size =
        kind_ == FramingKind::kUntilClose
            ? input.size()
            : static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
    const ByteView data = input.first(size);
    input = input.subspan(size);
    if (kind_ != FramingKind::kUntilClose) remaining_ -= size;
    if (kind_ != FramingKind::kUntilClose && remaining_ == 0)
      state_ = kind_ == FramingKind::kChunked ? State::kDataCr : State::kDone;
    return data;
  }
  return {};
}

bool BodyReader::within_line() const {
  switch (state_) {
    case State::kSize:
      return digits_ > 0;
    case State::kData:
    case State::kDataCr:
    case State::kDone:
    case State::kFailed:
      return false;
    default:
      return true;
  }
}

void BodyReader::end() {
  if (!done()) state_ = kind_ == FramingKind::kUntilClose ? State::kDone : State::kFailed;
}

// A lone LF where a line may end is a line end without its CR.
BodyReader::State BodyReader::on_line_byte(std::uint8_t byte) {
  const bool awaits_lf = state_ == State::kSizeLf || state_ == State::kDataLf ||
                         state_ == State::kTrailerLf || state_ == State::kEndLf;
  if (byte == '\n' && line_end_ == LineEnd::kLfToo && !awaits_lf) {
    state_ = on_framing_byte('\r');
    if (failed()) return state_;
  }
  return on_framing_byte(byte);
}

// chunk = 1*HEXDIG [ chunk-ext ] CRLF data CRLF; the last one has size 0 and no data, behind it stand trailer
// fields and an empty line.
BodyReader::State BodyReader::on_framing_byte(std::uint8_t byte) {
  switch (state_) {
    case State::kSize:
      return on_size_byte(byte);
    case State::kExtension:
      return on_text_byte(byte, State::kExtension, State::kSizeLf);
    case State::kSizeLf:
      digits_ = line_bytes_ = 0;
      if (byte != '\n') return State::kFailed;
      return remaining_ > 0 ? State::kData : State::kTrailer;
    case State::kDataCr:
      return byte == '\r' ? State::kDataLf : State::kFailed;
    case State::kDataLf:
      return byte == '\n' ? State::kSize : State::kFailed;
    case State::kTrailer:
      if (byte == '\r') return State::kEndLf;
      return on_text_byte(byte, State::kTrailerText, State::kFailed);
    case State::kTrailerText:
      return on_text_byte(byte, State::kTrailerText, State::kTrailerLf);
    case State::kTrailerLf:
      return byte == '\n' ? State::kTrailer : State::kFailed;
    case State::kEndLf:
      return byte == '\n' ? State::kDone : State::kFailed;
    case State::kData:
    case State::kDone:
    case State::kFailed:
      break;
  }
  return State::kFailed;
}

BodyReader::State BodyReader::on_size_byte(std::uint8_t byte) {
  const int digit = hex_value(byte);
  if (digit >= 0) {
    if (++digits_ > kMaxSizeDigits) return State::kFailed;
    remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
    return State::kSize;
  }
  if (digits_ == 0) return State::kFailed;
  if (byte == '\r') return State::kSizeLf;
  // Spaces before the CR are some servers' padding; RFC 9112, section 7.1.1, has them before extensions too.
  const bool goes_on = byte == ';' || byte == ' ' || byte == '\t';
  return goes_on ? State::kExtension : State::kFailed;
}

BodyReader::State BodyReader::on_text_byte(std::uint8_t byte, State same, State after_cr) {
  if (byte == '\r') return after_cr;
  if (!is_text(byte) || ++line_bytes_ > kMaxLineBytes) return State::kFailed;
  return same;
}

Bytes reframe(BodyReader& body, ByteView& input, FramingKind kind) {
  Bytes data;
  while (!input.empty() && !body.done() && !body.failed()) {
    const ByteView part = body.next(input);
    data.insert(data.end(), part.begin(), part.end());
  }
  if (kind != FramingKind::kChunked) return data;
  Bytes out;
  if (!data.empty()) {
    char size[24];
    const int size_bytes = std::snprintf(size, sizeof(size), "%zx\r\n", data.size());
    out.reserve(static_cast<std::size_t>(size_bytes) + data.size() + kLastChunk.size() + 2);
    out.insert(out.end(), size, size + size_bytes);
    out.insert(out.end(), data.begin(), data.end());
    out.insert(out.end(), {'\r', '\n'});
  }
  if (body.done()) out.insert(out.end(), kLastChunk.begin(), kLastChunk.end());
  return out;
}

}  // namespace zks::frontdoor
