// SPDX-License-Identifier: MIT
//
// What every part of a session says of a frame that must not be, and asks of what it sends itself.
#pragma once

#include <string>

#include "base/result.hpp"
#include "session/frames.hpp"

namespace zks::session {

// The peer broke the protocol, which ends the session.
inline Error violation(const char* what) {
  return make_error(ErrorKind::kProtocol, what);
}

// What OPEN and datagrams can carry. Anything else would break the protocol, and with it every other stream.
inline bool can_be_sent(const Destination& destination) {
  if (destination.kind != Destination::Kind::kName) return true;
  const std::string& name = destination.name;
  return !name.empty() && name.size() <= kMaxNameBytes && name.find('\0') == std::string::npos;
}

}  // namespace zks::session
