// SPDX-License-Identifier: MIT
//
// Where the body of an HTTP message ends (RFC 9112, sections 6 and 7), and the framing that it gets on its
// way on. Sans-IO; http_exchange.hpp moves the bytes. Trailer fields are read and dropped (RFC 9110, section
// 6.5.1, allows it), so that nothing behind a body can pass for a header.
//
// Beast's parser reads headers here, but not bodies: the one of Boost 1.81 asserts that the last chunk does
// not come in pieces of less than five bytes, which would let any server end the program.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace zks::frontdoor {

struct BodyFraming {
  enum class Kind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // kLength

  friend bool operator==(const BodyFraming&, const BodyFraming&) = default;
};

class BodyReader {
 public:
  // What ends a line of the chunked coding. LF alone as well is for answers (RFC 9112, section 2.2): they go
  // on framed anew, and a connection to a server serves one client alone. In a request it could hide another
  // one from whoever else reads along.
  enum class LineEnd : std::uint8_t { kCrLf, kLfToo };
  // A line of the chunked coding: size and extensions, or a trailer field. Trailer fields together have as
  // many bytes.
  static constexpr std::size_t kMaxLineBytes = 8 * 1024;

  explicit BodyReader(BodyFraming framing, LineEnd line_end = LineEnd::kCrLf);

  // Takes bytes from the front of `input` and returns those of them that are the body's, empty when all was
  // framing or the input is used up. Takes none once done() or failed().
  ByteView next(ByteView& input);

  bool done() const { return state_ == State::kDone; }
  bool failed() const { return state_ == State::kFailed; }  // not chunked as RFC 9112 has it
  // Between bytes that a sender has together: a line of the chunked coding has begun, or trailer fields have.
  // Not between data and the line end behind it, which some servers send with the next chunk.
  bool within_line() const;
  // The other side ended; for a body until the end that is how it is done, for others it is cut off.
  void end();

 private:
  enum class State : std::uint8_t {
    kData,         // remaining_ bytes, or all
    kSize,         // hexadecimal digits
    kExtension,    // up to CR
    kSizeLf,       // LF behind a chunk's size
    kDataCr,       // CR behind a chunk's data
    kDataLf,       // LF behind that
    kTrailer,      // the first byte of a line behind the last chunk
    kTrailerText,  // the others, up to CR
    kTrailerLf,    // LF behind that
    kEndLf,        // LF of the empty line that ends it all
    kDone,
    kFailed,
  };

  State on_framing_byte(std::uint8_t byte);
  State on_line_byte(std::uint8_t byte);
  State on_size_byte(std::uint8_t byte);
  State on_text_byte(std::uint8_t byte, State same, State after_cr);

  BodyFraming::Kind kind_;
  LineEnd line_end_;
  State state_ = State::kData;
  std::uint64_t remaining_ = 0;  // of the body or chunk; while its size is read, what it is so far
  std::size_t digits_ = 0;
  std::size_t line_bytes_ = 0;
};

// Takes what `input` has of the body and frames it as `kind`: as one chunk, with the last one behind it when
// the body is complete, or as it is.
Bytes reframe(BodyReader& body, ByteView& input, BodyFraming::Kind kind);

}  // namespace zks::frontdoor
