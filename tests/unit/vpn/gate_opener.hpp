// SPDX-License-Identifier: MIT
//
// A session that is none: it notes what a gate asks of it, and says what the test wants.
#pragma once

#include <map>
#include <new>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tunnel/stream.hpp"

namespace zks::vpn {

class GateOpener final : public tunnel::StreamOpener {
 public:
  explicit GateOpener(boost::asio::io_context& loop)
      : loop_(loop), released_(loop, boost::asio::steady_timer::time_point::max()) {}

  struct Asked {
    session::Destination address;
    std::uint8_t hop_limit;
    Bytes data;
    tunnel::EchoHandler handler;
  };
  struct FakeFlow final : tunnel::Flow {
    explicit FakeFlow(GateOpener& o) : opener(o) {}
    bool send(const session::Destination& to, ByteView bytes) override {
      opener.datagrams.push_back(session::to_text(to) + " " + std::string(bytes.begin(), bytes.end()));
      return true;
    }
    GateOpener& opener;
  };

  boost::asio::any_io_executor executor() override { return loop_.get_executor(); }
  boost::asio::awaitable<tunnel::OpenOutcome> open(session::Destination destination) override {
    opened.push_back(session::to_text(destination));
    tunnel::OpenOutcome out;
    out.code = session::ResetCode::kConnectionRefused;
    co_return out;
  }
  Result<tunnel::FlowPtr> open_flow(tunnel::FlowHandlers handlers) override {
    if (!carries_udp) return make_error(ErrorKind::kRefused, "there is no UDP here");
    flow = std::move(handlers);
    return std::make_unique<FakeFlow>(*this);
  }
  boost::asio::awaitable<Result<Bytes>> resolve(Bytes query) override {
    if (lacks_memory) throw std::bad_alloc();
    queries.push_back(query);
    if (held) (void)co_await released_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (answer.empty()) co_return make_error(ErrorKind::kTimeout, "no answer");
    Bytes out = answer;
    std::copy_n(query.begin(), 2, out.begin());  // the DNS id
    co_return out;
  }
  Result<> echo(tunnel::EchoRequest request, tunnel::EchoHandler handler) override {
    if (!pings) return make_error(ErrorKind::kRefused, "there is no ping here");
    echoes.push_back({request.address, request.hop_limit, Bytes(request.data.begin(), request.data.end()),
                      std::move(handler)});
    return {};
  }
  std::optional<session::ExitCapabilities> exit_capabilities() override { return capabilities; }

  void release() {
    held = false;
    released_.cancel();
  }
  // What happens without waiting for anything but what is ready.
  void run() {
    loop_.restart();
    loop_.poll();
  }

  bool carries_udp = true;
  bool pings = true;
  bool held = false;          // resolve() waits for release()
  bool lacks_memory = false;  // resolve() does
  Bytes answer;               // of resolve(); empty: none comes
  std::optional<session::ExitCapabilities> capabilities;
  std::vector<std::string> opened;
  std::vector<std::string> datagrams;
  std::optional<tunnel::FlowHandlers> flow;  // of the one that was opened last
  std::vector<Bytes> queries;
  std::vector<Asked> echoes;

 private:
  boost::asio::io_context& loop_;
  boost::asio::steady_timer released_;
};

}  // namespace zks::vpn
