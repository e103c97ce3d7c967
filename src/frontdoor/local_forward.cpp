// SPDX-License-Identifier: MIT
#include "frontdoor/local_forward.hpp"

#include <boost/asio/co_spawn.hpp>
#include <unistd.h>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "frontdoor/listen_endpoints.hpp"
#include "net/spawn.hpp"

namespace zks::frontdoor {

namespace {

Result<std::vector<net::Acceptor>> open_acceptors(const asio::any_io_executor& executor,
                                                  const ForwardPlace& place, const net::Endpoints& beside) {
  if (!place.is_unix()) return net::listen_on(executor, listen_endpoints<asio::ip::tcp>(place), beside);
  auto acceptor = net::listen_on(executor, std::filesystem::path(place.path));
  if (!acceptor) return acceptor.error();
  std::vector<net::Acceptor> out;
  out.push_back(std::move(*acceptor));
  return out;
}

}  // namespace

Result<std::shared_ptr<LocalForward>> LocalForward::listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                           ForwardSpec spec, std::size_t max_connections,
                                                           const net::Endpoints& beside) {
  auto acceptors = open_acceptors(opener->executor(), spec.listen, beside);
  if (!acceptors) return acceptors.error();
  if (is_open_to_others(spec.listen)) {
    log::warn("the forward on {} is open to whoever can reach this machine", to_text(spec.listen));
  }
  return std::make_shared<LocalForward>(std::move(opener), std::move(spec), std::move(*acceptors),
                                        max_connections);
}

LocalForward::LocalForward(std::shared_ptr<tunnel::StreamOpener> opener, ForwardSpec spec,
                           std::vector<net::Acceptor> acceptors, std::size_t max_connections)
    : opener_(std::move(opener)),
      spec_(std::move(spec)),
      connections_(max_connections),
      ended_(opener_->executor()) {
  loop_ = std::make_shared<net::AcceptLoop>(std::move(acceptors), "a forward",
                                            [this](tunnel::Socket socket) { admit(std::move(socket)); });
}

LocalForward::~LocalForward() {
  close();
}

std::string LocalForward::address() const {
  if (spec_.listen.is_unix()) return spec_.listen.path;
  const auto local = loop_->local_endpoint();
  return format_host_port(local.address().to_string(), local.port());
}

void LocalForward::admit(tunnel::Socket socket) {
  if (connections_.is_limit_due()) {
    log::warn(
        "all {} connections of the forward on {} are in use: those that are half-closed and silent longest "
        "make "
        "room, and without such more are closed",
        connections_.size(), address());
  }
  if (!connections_.has_room()) return;  // closed by going out of scope
  auto client = std::make_shared<tunnel::Connection>(std::move(socket));
  auto membership = connections_.enter(client);
  asio::co_spawn(opener_->executor(), serve(shared_from_this(), std::move(client), std::move(membership)),
                 [self = shared_from_this()](std::exception_ptr failure) {
                   self->ended_.notify();
                   net::RethrowFailure{}(failure);
                 });
}

asio::awaitable<void> LocalForward::serve(std::shared_ptr<LocalForward> self,
                                          std::shared_ptr<tunnel::Connection> client,
                                          std::unique_ptr<tunnel::ConnectionSet::Membership> membership) {
  const auto until_the_end = std::move(membership);
  tunnel::OpenOutcome outcome = co_await tunnel::Connection::open(
      client, self->opener_, self->spec_.target.address, tunnel::Connection::End::kMayHalfClose);
  if (client->gone()) co_return;
  if (!outcome.stream) {
    log::warn("a connection to the forward on {} failed: {}", self->address(),
              session::describe(outcome.code));
    client->reset();
    co_return;
  }
  co_await tunnel::Connection::splice(client, std::move(outcome.stream));
}

void LocalForward::close() {
  if (std::exchange(closed_, true)) return;
  loop_->stop();
  if (spec_.listen.is_unix()) ::unlink(spec_.listen.path.c_str());
}

asio::awaitable<void> LocalForward::stop(std::chrono::steady_clock::time_point deadline) {
  const auto self = shared_from_this();
  close();
  while (!connections_.empty() && std::chrono::steady_clock::now() < deadline) {
    co_await ended_.wait_until(deadline);
  }
  connections_.abort_all();
  while (!connections_.empty()) co_await ended_.wait();
}

}  // namespace zks::frontdoor
