// SPDX-License-Identifier: MIT
//
// Result<T>: the value of everything that bytes, peers and system calls can make fail. Exceptions are left
// for start-up and lack of memory. An Error has a kind, which decides the exit status and whether a retry
// makes sense, and a text for the operator; peers never see either.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <boost/system/result.hpp>

namespace zks {

enum class ErrorKind : std::uint8_t {
  kUsage,      // wrong flag, link, file or configuration: exit status 2
  kRefused,    // the peer said no, or nobody is there: exit status 3
  kUntrusted,  // certificate, pin or key does not match: exit status 3
  kProtocol,   // bytes that break the protocol
  kNetwork,    // a system call or a name lookup on the network failed; a retry may help
  kTimeout,    // no answer in time; a retry may help
  kClosed,     // the connection ended; `detail` holds the WebSocket close code, 0 when there was none
  kLimit,      // a bound was reached
  kIo,         // a file or another local resource
};

struct Error {
  ErrorKind kind = ErrorKind::kIo;
  std::string text;
  int detail = 0;  // HTTP status, WebSocket close code or errno, by kind

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using Result = boost::system::result<T, Error>;

inline Error make_error(ErrorKind kind, std::string text, int detail = 0) {
  return Error{kind, std::move(text), detail};
}

// Needed by boost::system::result::value(): calling it on an error is a bug of ours, so it throws.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

// The exit status of cli.md for an error that ends a program: 1 failed at work, 2 usage, 3 refused by the
// peer.
int exit_status(const Error& error);

}  // namespace zks
