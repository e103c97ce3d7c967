// SPDX-License-Identifier: MIT
#include "session/destination.hpp"

#include <arpa/inet.h>

#include "base/bytes.hpp"

namespace zks::session {
namespace {

constexpr std::uint8_t kSocks5GeneralFailure = 1;
constexpr std::uint8_t kSocks5HostUnreachable = 4;

}  // namespace

std::string to_text(const Destination& destination) {
  std::string host;
  if (destination.kind == Destination::Kind::kName) {
    host = printable(destination.name);
  } else {
    const bool ipv6 = destination.kind == Destination::Kind::kIpv6;
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(ipv6 ? AF_INET6 : AF_INET, destination.address.data(), text, sizeof(text));
    host = ipv6 ? "[" + std::string(text) + "]" : text;
  }
  return host + ":" + std::to_string(destination.port);
}

// RFC 1928, section 6. A code that a newer peer invented is a general failure.
std::uint8_t socks5_reply(ResetCode code) {
  switch (code) {
    case ResetCode::kGeneralFailure:
    case ResetCode::kNotAllowed:
    case ResetCode::kNetworkUnreachable:
    case ResetCode::kHostUnreachable:
    case ResetCode::kConnectionRefused:
    case ResetCode::kTimedOut:
    case ResetCode::kCommandNotSupported:
    case ResetCode::kAddressNotSupported:
      return static_cast<std::uint8_t>(code);
    case ResetCode::kQuotaUsedUp:
      return static_cast<std::uint8_t>(ResetCode::kNotAllowed);
    case ResetCode::kNameNotFound:
      return kSocks5HostUnreachable;
    case ResetCode::kCancelled:
    case ResetCode::kConnectionReset:
    case ResetCode::kLimit:
    case ResetCode::kSessionLost:
    case ResetCode::kAddressInUse:
      break;
  }
  return kSocks5GeneralFailure;
}

const char* describe(ResetCode code) {
  switch (code) {
    case ResetCode::kCancelled:
      return "cancelled";
    case ResetCode::kGeneralFailure:
      return "general failure";
    case ResetCode::kNotAllowed:
      return "not allowed by the exit's policy";
    case ResetCode::kNetworkUnreachable:
      return "network unreachable";
    case ResetCode::kHostUnreachable:
      return "host unreachable";
    case ResetCode::kConnectionRefused:
      return "connection refused";
    case ResetCode::kTimedOut:
      return "timed out";
    case ResetCode::kCommandNotSupported:
      return "command not supported";
    case ResetCode::kAddressNotSupported:
      return "address type not supported";
    case ResetCode::kNameNotFound:
      return "name not found";
    case ResetCode::kConnectionReset:
      return "connection reset by the target";
    case ResetCode::kLimit:
      return "too many streams";
    case ResetCode::kSessionLost:
      return "session lost";
    case ResetCode::kQuotaUsedUp:
      return "this link's quota is used up; its exit's operator can raise it";
    case ResetCode::kAddressInUse:
      return "address in use";
  }
  return "unknown code";
}

}  // namespace zks::session
