// SPDX-License-Identifier: MIT
//
// What becomes of a stream that a client opened: its invite's leave, the connect, the bytes of both sides
// (tunnel/splice.cpp). session_server.hpp hands them over.
//
// Bound: max_streams connects under way a session. A connect outlives a stream that is reset meanwhile, by at
// most its own time-out, and without a bound OPEN and RESET in turn would pile them up.
//
// Executor: the exit's. Lifetime: shared; streams keep it.
#pragma once

#include <memory>

#include "exit/client_session.hpp"
#include "exit/connect.hpp"
#include "exit/exit_status.hpp"
#include "net/counted.hpp"

namespace zks::exit {

class StreamServer : public std::enable_shared_from_this<StreamServer> {
 public:
  struct Options {
    std::uint64_t max_streams = 2048;
    bool log_destinations = false;
  };

  StreamServer(asio::any_io_executor executor, Connect connect, std::shared_ptr<GuestResolver> resolver,
               Options options);

  // For streams from now on.
  void set_options(Options options) { options_ = options; }
  void serve(const ClientSessionPtr& session, tunnel::StreamPtr stream, session::Destination destination);
  const StreamTally& tally() const { return tally_; }

 private:
  static asio::awaitable<void> run(std::shared_ptr<StreamServer> self, ClientSessionPtr session,
                                   net::Counted connecting, tunnel::StreamPtr stream,
                                   session::Destination destination, Allowance::Admission admission);
  void refuse(const ClientSession& session, const tunnel::StreamPtr& stream, session::ResetCode code,
              const std::string& reason);

  asio::any_io_executor executor_;
  Connect connect_;
  std::shared_ptr<GuestResolver> resolver_;
  Options options_;
  StreamTally tally_;
};

}  // namespace zks::exit
