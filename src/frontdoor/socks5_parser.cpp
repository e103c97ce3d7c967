// SPDX-License-Identifier: MIT
#include "frontdoor/socks5_parser.hpp"

#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "frontdoor/socks_codes.hpp"

namespace zks::frontdoor {
namespace {

using session::Destination;
using session::ResetCode;

constexpr std::uint8_t kPasswordVersion = 1;
constexpr std::uint8_t kMethodNone = 0;
constexpr std::uint8_t kMethodPassword = 2;
constexpr std::uint8_t kNoAcceptableMethod = 0xff;
constexpr std::uint8_t kPasswordAccepted = 0;
constexpr std::uint8_t kPasswordRefused = 1;

constexpr std::size_t kRequestHead = 4;  // version, command, reserved, address type

}  // namespace

Socks5Parser::~Socks5Parser() {
  sodium_memzero(buffer_.data(), buffer_.size());
}

Socks5Parser::Step Socks5Parser::feed(ByteView& input) {
  while (state_ != State::kDone && state_ != State::kRefused) {
    const auto wanted = message_bytes();
    if (!wanted) {
      refuse_request(ResetCode::kAddressNotSupported);
    } else if (size_ == *wanted) {
      on_message();
      size_ = 0;
    } else if (input.empty()) {
      return Step::kMore;
    } else {
      const std::size_t count = std::min(*wanted - size_, input.size());
      std::memcpy(buffer_.data() + size_, input.data(), count);
      size_ += count;
      input = input.subspan(count);
    }
  }
  return state_ == State::kDone ? Step::kRequest : Step::kRefused;
}

// How long the message is, as far as what is there of it tells; more becomes known as more arrives. Null when
// it has no end that we could know: an address of an unknown type.
std::optional<std::size_t> Socks5Parser::message_bytes() const {
  switch (state_) {
    case State::kGreeting:
      return greeting_bytes();
    case State::kPassword:
      return password_bytes();
    default:
      return request_bytes();
  }
}

// A wrong version ends a message after its first byte: what follows is some other protocol.
std::size_t Socks5Parser::greeting_bytes() const {
  if (size_ < 1 || buffer_[0] != kSocks5Version) return 1;
  return size_ < 2 ? 2 : 2 + std::size_t{buffer_[1]};
}

std::size_t Socks5Parser::password_bytes() const {
  if (size_ < 1 || buffer_[0] != kPasswordVersion) return 1;
  if (size_ < 2) return 2;
  const std::size_t password_length_at = 2 + std::size_t{buffer_[1]};
  if (size_ <= password_length_at) return password_length_at + 1;
  return password_length_at + 1 + buffer_[password_length_at];
}

std::optional<std::size_t> Socks5Parser::request_bytes() const {
  if (size_ < 1 || buffer_[0] != kSocks5Version) return 1;
  if (size_ < kRequestHead) return kRequestHead;
  constexpr std::size_t kPort = 2;
  switch (static_cast<Destination::Kind>(buffer_[3])) {
    case Destination::Kind::kIpv4:
      return kRequestHead + 4 + kPort;
    case Destination::Kind::kIpv6:
      return kRequestHead + 16 + kPort;
    case Destination::Kind::kName:
      return size_ == kRequestHead ? kRequestHead + 1 : kRequestHead + 1 + buffer_[kRequestHead] + kPort;
  }
  return std::nullopt;
}

void Socks5Parser::on_message() {
  const std::uint8_t version = state_ == State::kPassword ? kPasswordVersion : kSocks5Version;
  if (buffer_[0] != version) {
    state_ = State::kRefused;
    return;
  }
  switch (state_) {
    case State::kGreeting:
      return on_greeting();
    case State::kPassword:
      return on_password();
    default:
      return on_request();
  }
}

void Socks5Parser::on_greeting() {
  const std::uint8_t wanted = credentials_ != nullptr ? kMethodPassword : kMethodNone;
  const ByteView methods(buffer_.data() + 2, size_ - 2);
  const bool offered = std::find(methods.begin(), methods.end(), wanted) != methods.end();
  replies_.insert(replies_.end(), {kSocks5Version, offered ? wanted : kNoAcceptableMethod});
  if (!offered) {
    state_ = State::kRefused;
  } else {
    state_ = credentials_ != nullptr ? State::kPassword : State::kRequest;
  }
}

void Socks5Parser::on_password() {
  const std::size_t user_bytes = buffer_[1];
  const ByteView user(buffer_.data() + 2, user_bytes);
  const ByteView password(buffer_.data() + 3 + user_bytes, buffer_[2 + user_bytes]);
  const bool accepted = credentials_->match(user, password);
  sodium_memzero(buffer_.data(), size_);
  replies_.insert(replies_.end(), {kPasswordVersion, accepted ? kPasswordAccepted : kPasswordRefused});
  state_ = accepted ? State::kRequest : State::kRefused;
}

void Socks5Parser::on_request() {
  associates_ = buffer_[1] == kCommandUdpAssociate;
  if (buffer_[1] != kCommandConnect && !associates_) return refuse_request(ResetCode::kCommandNotSupported);
  const ByteView address(buffer_.data() + kRequestHead, size_ - kRequestHead - 2);
  destination_.kind = static_cast<Destination::Kind>(buffer_[3]);
  destination_.port = load_be<std::uint16_t>(buffer_.data() + size_ - 2);
  if (destination_.kind == Destination::Kind::kName) {
    destination_.name = std::string(as_text(address.subspan(1)));
    // Neither can stand in an OPEN frame, nor in DNS.
    if (destination_.name.empty() || destination_.name.find('\0') != std::string::npos) {
      return refuse_request(ResetCode::kGeneralFailure);
    }
  } else {
    std::copy(address.begin(), address.end(), destination_.address.begin());
  }
  state_ = State::kDone;
}

void Socks5Parser::refuse_request(ResetCode code) {
  const Bytes refusal = encode_socks5_refusal(code);
  replies_.insert(replies_.end(), refusal.begin(), refusal.end());
  state_ = State::kRefused;
}

Bytes encode_socks5_reply(std::uint8_t code, const Destination& bound) {
  Bytes out{kSocks5Version, code, 0, static_cast<std::uint8_t>(bound.kind)};
  switch (bound.kind) {
    case Destination::Kind::kIpv4:
      out.insert(out.end(), bound.address.begin(), bound.address.begin() + 4);
      break;
    case Destination::Kind::kIpv6:
      out.insert(out.end(), bound.address.begin(), bound.address.end());
      break;
    case Destination::Kind::kName:  // an exit behind something that tells no address; at most 255 bytes
      out.push_back(static_cast<std::uint8_t>(bound.name.size()));
      out.insert(out.end(), bound.name.begin(), bound.name.end());
      break;
  }
  std::array<std::uint8_t, 2> port;
  store_be(bound.port, port.data());
  out.insert(out.end(), port.begin(), port.end());
  return out;
}

Bytes encode_socks5_refusal(ResetCode code) {
  Destination none;
  none.kind = Destination::Kind::kIpv4;
  return encode_socks5_reply(session::socks5_reply(code), none);
}

}  // namespace zks::frontdoor
