// SPDX-License-Identifier: MIT
#include "tunnel/endpoints.hpp"

#include <cerrno>

namespace zks::tunnel {

using session::ResetCode;

session::ResetCode reset_code_of(const boost::system::error_code& failure) {
  switch (failure.value()) {
    case ECONNREFUSED:
      return ResetCode::kConnectionRefused;
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:  // no source address for that network
      return ResetCode::kNetworkUnreachable;
    case EHOSTUNREACH:
    case EHOSTDOWN:
      return ResetCode::kHostUnreachable;
    case ETIMEDOUT:
      return ResetCode::kTimedOut;
    case EACCES:  // a firewall's, by iptables' REJECT or an unreachable route of type "prohibit"
    case EPERM:
      return ResetCode::kNotAllowed;
    case EAFNOSUPPORT:
      return ResetCode::kAddressNotSupported;
    case EADDRINUSE:
      return ResetCode::kAddressInUse;
    case ECONNRESET:
      return ResetCode::kConnectionReset;
    default:
      return ResetCode::kGeneralFailure;
  }
}

}  // namespace zks::tunnel
