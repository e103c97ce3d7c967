// SPDX-License-Identifier: MIT
#include "net/accept_loop.hpp"

#include <cerrno>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <sys/stat.h>

#include "base/bytes.hpp"
#include "base/log.hpp"
#include "net/on_end.hpp"

namespace zks::net {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

// Out of descriptors or memory: they come back when connections end, and a new try at once would only spin.
constexpr std::chrono::milliseconds kAcceptBackoff{100};

bool is_out_of_resources(const error_code& ec) {
  return ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS || ec.value() == ENOMEM;
}

error_code listen_with(Acceptor& acceptor, const asio::local::stream_protocol::endpoint& address) {
  error_code ec;
  acceptor.open(asio::generic::stream_protocol(address.protocol()), ec);
  if (!ec) acceptor.bind(asio::generic::stream_protocol::endpoint(address), ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  return ec;
}

// Nobody listens on it any more.
bool is_left_behind(const asio::any_io_executor& executor, const std::filesystem::path& path) {
  struct stat what {};
  if (::lstat(path.c_str(), &what) != 0 || !S_ISSOCK(what.st_mode)) return false;
  asio::local::stream_protocol::socket probe(executor);
  error_code ec;
  probe.connect(asio::local::stream_protocol::endpoint(path.string()), ec);
  return ec.value() == ECONNREFUSED;
}

// Of the process; nothing else makes files meanwhile, for there is one thread.
class OnlyOwner {
 public:
  OnlyOwner() : before_(::umask(S_IXUSR | S_IRWXG | S_IRWXO)) {}
  ~OnlyOwner() { ::umask(before_); }
  OnlyOwner(const OnlyOwner&) = delete;
  OnlyOwner& operator=(const OnlyOwner&) = delete;

 private:
  mode_t before_;
};

}  // namespace

Result<std::vector<Acceptor>> listen_on(const asio::any_io_executor& executor, const Endpoints& addresses,
                                        const Endpoints& beside) {
  auto made = listen_on_all(executor, addresses, beside);
  if (!made) {
    return make_error(made.error().kind, made.error().text + "; port 0 takes any free one",
                      made.error().detail);
  }
  std::vector<Acceptor> out;
  for (tcp::acceptor& acceptor : *made) out.emplace_back(std::move(acceptor));
  return out;
}

Result<Acceptor> listen_on(const asio::any_io_executor& executor, const std::filesystem::path& path) {
  const OnlyOwner only_owner;
  const asio::local::stream_protocol::endpoint address(path.string());
  Acceptor acceptor(executor);
  error_code ec = listen_with(acceptor, address);
  if (ec.value() == EADDRINUSE && is_left_behind(executor, path)) {
    ::unlink(path.c_str());
    acceptor = Acceptor(executor);
    ec = listen_with(acceptor, address);
  }
  if (!ec) return acceptor;
  return make_error(ErrorKind::kIo, "can't listen on " + printable(path.string()) + ": " + ec.message(),
                    ec.value());
}

AcceptLoop::AcceptLoop(std::vector<Acceptor> acceptors, std::string what, Handler handler)
    : what_(std::move(what)), handler_(std::move(handler)) {
  error_code ignored;
  local_ = tcp_endpoint(acceptors.front().local_endpoint(ignored));
  for (Acceptor& acceptor : acceptors) {
    const auto executor = acceptor.get_executor();
    doors_.push_back({std::move(acceptor), Wakeup(executor)});
  }
}

AcceptLoop::AcceptLoop(Acceptor acceptor, std::string what, Handler handler)
    : what_(std::move(what)), handler_(std::move(handler)) {
  error_code ignored;
  local_ = tcp_endpoint(acceptor.local_endpoint(ignored));
  const auto executor = acceptor.get_executor();
  doors_.push_back({std::move(acceptor), Wakeup(executor)});
}

void AcceptLoop::start() {
  for (Door& door : doors_) start(door);
}

// One that lacked memory for a connection goes on with the next one. The same one may still wait, so not at
// once.
void AcceptLoop::start(Door& door, std::chrono::milliseconds after) {
  const auto executor = door.acceptor.get_executor();
  const auto over = [self = shared_from_this(), &door](const std::exception_ptr& failure) {
    if (failure && !self->stopped_) self->start(door, kAcceptBackoff);
  };
  asio::co_spawn(executor, run(shared_from_this(), &door, after), OnEnd(executor, over));
}

asio::awaitable<void> AcceptLoop::run(std::shared_ptr<AcceptLoop> self, Door* door,
                                      std::chrono::milliseconds after) {
  if (after.count() > 0) co_await door->wake.wait_until(std::chrono::steady_clock::now() + after);
  while (!self->stopped_) {
    if (self->paused_) {
      co_await door->wake.wait();
      continue;
    }
    auto [ec, socket] = co_await door->acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (self->stopped_) break;
    if (!ec) {
      const Handler handler = self->handler_;  // it may call stop()
      handler(std::move(socket));
    } else if (is_out_of_resources(ec)) {
      log::warn("can't accept connections of {}: {}", self->what_, ec.message());
      co_await door->wake.wait_until(std::chrono::steady_clock::now() + kAcceptBackoff);
    }
    // Any other error is that of a client that left again (accept(2), "Error handling").
  }
}

void AcceptLoop::stop() {
  stopped_ = true;
  handler_ = nullptr;
  error_code ignored;
  for (Door& door : doors_) door.acceptor.close(ignored);
  wake();
}

void AcceptLoop::resume() {
  paused_ = false;
  wake();
}

void AcceptLoop::wake() {
  for (Door& door : doors_) door.wake.notify();
}

}  // namespace zks::net
