// SPDX-License-Identifier: MIT
#include "ops/control_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.hpp"
#include "base/log_failure.hpp"
#include "net/as_tuple.hpp"
#include "net/counted.hpp"
#include "ops/control_request.hpp"

namespace zks::ops {
namespace {

namespace asio = boost::asio;
using net::kTuple;

// Closes the socket when the time is over; not any more when this is gone.
template <class Socket>
class TimeLimit {
 public:
  TimeLimit(const std::shared_ptr<Socket>& socket, std::chrono::seconds limit)
      : timer_(socket->get_executor(), limit) {
    timer_.async_wait([weak = std::weak_ptr(socket)](const boost::system::error_code& ec) {
      const auto late = weak.lock();
      boost::system::error_code ignored;
      if (!ec && late) late->close(ignored);
    });
  }

 private:
  asio::steady_timer timer_;
};

// socket(7), SO_PEERCRED: who called connect().
bool is_allowed(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && may_ask(peer.uid, ::geteuid());
}

}  // namespace

bool may_ask(unsigned peer, unsigned self) {
  return peer == self || peer == 0;
}

ControlServer::ControlServer(const asio::any_io_executor& executor, SocketFile file, Status status)
    : file_(std::move(file)),
      acceptor_(executor, asio::local::stream_protocol(), file_.take_listener()),
      status_(std::move(status)) {}

std::shared_ptr<ControlServer> ControlServer::start(const asio::any_io_executor& executor, SocketFile file,
                                                    Status status) {
  auto server = std::make_shared<ControlServer>(executor, std::move(file), std::move(status));
  asio::co_spawn(server->acceptor_.get_executor(), accept_loop(server),
                 [](const std::exception_ptr& failure) { log_failure(failure, "control socket"); });
  return server;
}

void ControlServer::stop() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

asio::awaitable<void> ControlServer::accept_loop(std::shared_ptr<ControlServer> self) {
  asio::steady_timer pause(self->acceptor_.get_executor());
  while (self->acceptor_.is_open()) {
    self->spare_.fill();
    auto [ec, accepted] = co_await self->acceptor_.async_accept(kTuple);
    self->spare_.accept(self->acceptor_, accepted, ec);
    if (ec) {
      pause.expires_after(std::chrono::milliseconds(100));  // no descriptors, perhaps
      [[maybe_unused]] auto [pause_ec] = co_await pause.async_wait(kTuple);
      continue;
    }
    if (self->connections_ >= kMaxConnections || !is_allowed(accepted.native_handle())) continue;
    net::Counted connection(self, self->connections_);
    auto socket = std::make_shared<Socket>(std::move(accepted));
    asio::co_spawn(self->acceptor_.get_executor(), serve(self, socket, std::move(connection)),
                   [self](const std::exception_ptr& failure) {
                     log_failure(failure, "control socket");
                     self->spare_.fill();
                   });
  }
}

asio::awaitable<void> ControlServer::serve(std::shared_ptr<ControlServer> self,
                                           std::shared_ptr<Socket> socket, net::Counted connection) {
  const net::Counted counted(std::move(connection));
  const TimeLimit limit(socket, kTimeLimit);
  std::string request;
  auto [ec, size] = co_await asio::async_read_until(
      *socket, asio::dynamic_buffer(request, kMaxControlRequestBytes), '\n', kTuple);
  if (ec && ec != asio::error::not_found) co_return;
  const std::string line = ec ? control_error("the request is too long")
                              : self->answer(std::string_view(request).substr(0, size - 1));
  const std::string out = line + "\n";
  [[maybe_unused]] auto [write_ec, written] = co_await asio::async_write(*socket, asio::buffer(out), kTuple);
}

std::string ControlServer::answer(std::string_view line) const {
  const auto request = parse_control_request(line);
  return request ? status_() : control_error(request.error().text);
}

}  // namespace zks::ops
