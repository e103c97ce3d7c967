// SPDX-License-Identifier: MIT
//
// A client's end of one session, which keeps what the exit said.
#pragma once

#include <memory>
#include <vector>

#include "tunnel_pair.hpp"

namespace zks::test {

struct ClientEnd {
  ClientEnd(const boost::asio::any_io_executor& executor, const SessionId& id) {
    session::Options options;
    options.id = id;
    tunnel::Tunnel::Handlers handlers;
    handlers.on_up = [this](session::LaneNumber, session::HelloMode mode) { welcomes.push_back(mode); };
    handlers.on_goaway = [this](session::GoawayCode code, const std::string&) { goaways.push_back(code); };
    tunnel = std::make_shared<tunnel::Tunnel>(executor, options, std::move(handlers));
  }
  ~ClientEnd() { tunnel->end(make_error(ErrorKind::kClosed, "the test is over")); }
  ClientEnd(const ClientEnd&) = delete;
  ClientEnd& operator=(const ClientEnd&) = delete;

  // Opens a stream; how that ended is kept.
  void open(boost::asio::io_context& loop) {
    boost::asio::co_spawn(loop, tunnel->open(somewhere()),
                          [refused = refused](std::exception_ptr, const tunnel::OpenOutcome& outcome) {
                            if (!outcome.stream) refused->push_back(outcome.code);
                          });
  }

  std::shared_ptr<tunnel::Tunnel> tunnel;
  std::vector<session::HelloMode> welcomes;
  std::vector<session::GoawayCode> goaways;
  // Of streams that were not opened. Some are over later than this object.
  std::shared_ptr<std::vector<session::ResetCode>> refused =
      std::make_shared<std::vector<session::ResetCode>>();
};

}  // namespace zks::test
