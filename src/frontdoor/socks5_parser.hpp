// SPDX-License-Identifier: MIT
//
// SOCKS5 as a server hears it: RFC 1928 for CONNECT and UDP ASSOCIATE, RFC 1929 for user and password.
// Sans-IO: bytes in, replies and a destination out; socks_door.hpp moves them. Messages may come byte by byte
// or all at once.
//
//   greeting   version 5 (1) | n (1) | methods (n)                    answered: 5 | method, 0xff for none
//   password   version 1 (1) | n (1) | user (n) | n (1) | password    answered: 1 | 0 for yes, 1 for no
//   request    version 5 (1) | command (1) | 0 (1) | type (1) | address | port (2)
//              address: 4 bytes (type 1), n (1) and a name of n bytes (type 3), 16 bytes (type 4)
//   reply      version 5 (1) | code (1) | 0 (1) | type (1) | bound address | port (2)
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "frontdoor/credentials.hpp"
#include "session/destination.hpp"

namespace zks::frontdoor {

class Socks5Parser {
 public:
  enum class Step : std::uint8_t {
    kMore,     // the handshake goes on
    kRequest,  // destination() is what the client wants; what was not taken is the client's data for it
    kRefused,  // send the replies, then close
  };

  // `credentials`, when not null, must outlive the parser; then clients have to know them, and otherwise no
  // client can log in: a client that insists on a password is refused, since we have none to check.
  explicit Socks5Parser(const Credentials* credentials) : credentials_(credentials) {}
  ~Socks5Parser();  // wipes the buffer, which may hold a password
  Socks5Parser(const Socks5Parser&) = delete;
  Socks5Parser& operator=(const Socks5Parser&) = delete;

  // Takes bytes from the front of `input`, never any beyond the request. After kRequest or kRefused nothing
  // more is taken.
  Step feed(ByteView& input);

  // What has to be sent to the client, also before a refusal; at most kMaxReplyBytes since the last call.
  Bytes take_replies() { return std::exchange(replies_, {}); }
  static constexpr std::size_t kMaxReplyBytes = 2 + 2 + 10;

  // CONNECT: where to. UDP ASSOCIATE: from where the client will send, as far as it knows.
  const session::Destination& destination() const { return destination_; }
  bool associates() const { return associates_; }  // UDP ASSOCIATE

 private:
  enum class State : std::uint8_t { kGreeting, kPassword, kRequest, kDone, kRefused };

  std::optional<std::size_t> message_bytes() const;
  std::size_t greeting_bytes() const;
  std::size_t password_bytes() const;
  std::optional<std::size_t> request_bytes() const;
  void on_message();
  void on_greeting();
  void on_password();
  void on_request();
  void refuse_request(session::ResetCode code);

  const Credentials* credentials_;
  State state_ = State::kGreeting;
  // The message that is being received; the longest is 1 + 1 + 255 + 1 + 255.
  std::array<std::uint8_t, 513> buffer_{};
  std::size_t size_ = 0;
  Bytes replies_;
  session::Destination destination_;
  bool associates_ = false;
};

// The reply to a request (RFC 1928, section 6).
Bytes encode_socks5_reply(std::uint8_t code, const session::Destination& bound);

// A refusal has no bound address; clients expect 0.0.0.0:0.
Bytes encode_socks5_refusal(session::ResetCode code);

}  // namespace zks::frontdoor
