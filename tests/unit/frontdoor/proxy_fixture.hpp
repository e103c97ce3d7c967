// SPDX-License-Identifier: MIT
//
// A client of the proxy that blocks, and a server on a thread of its own for it to talk to.
#pragma once

#include <future>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "frontdoor/proxy_server.hpp"

namespace zks::frontdoor {

using asio::ip::tcp;

inline const Bytes kGreeting{5, 1, 0};
inline const Bytes kRequest{5, 1, 0, 1, 192, 0, 2, 7, 0, 80};

inline Bytes refusal(std::uint8_t code) {
  return {5, code, 0, 1, 0, 0, 0, 0, 0, 0};
}

class Client {
 public:
  explicit Client(const tcp::endpoint& server) : socket_(context_) { socket_.connect(server); }

  void send(const Bytes& bytes) { asio::write(socket_, asio::buffer(bytes)); }
  // `count` bytes, or as many as come before the end.
  Bytes receive(std::size_t count) {
    Bytes out(count);
    boost::system::error_code ec;
    out.resize(asio::read(socket_, asio::buffer(out), ec));
    return out;
  }
  // How the connection ends: eof, or reset.
  boost::system::error_code end() {
    boost::system::error_code ec;
    std::uint8_t byte = 0;
    while (!ec) asio::read(socket_, asio::buffer(&byte, 1), ec);
    return ec;
  }
  bool is_quiet() {
    pollfd wait{.fd = socket_.native_handle(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) == 0;
  }
  void send_urgent(char byte) {
    socket_.send(asio::buffer(&byte, 1), asio::socket_base::message_out_of_band);
  }
  // Until nobody takes any more, now.
  void fill() {
    socket_.non_blocking(true);
    const Bytes much(1 << 20);
    boost::system::error_code ec;
    while (!ec) socket_.write_some(asio::buffer(much), ec);
    socket_.non_blocking(false);
  }
  // Whether all that was sent has reached the other end's kernel.
  bool is_taken() {
    int left = 0;
    EXPECT_EQ(::ioctl(socket_.native_handle(), SIOCOUTQ, &left), 0);
    return left == 0;
  }
  void half_close() { socket_.shutdown(tcp::socket::shutdown_send); }
  void close() { socket_.close(); }
  void reset() {
    socket_.set_option(asio::socket_base::linger(true, 0));
    socket_.close();
  }
  void request(const Bytes& more = {}) {
    send(kGreeting);
    EXPECT_EQ(receive(2), (Bytes{5, 0}));
    Bytes bytes = kRequest;
    bytes.insert(bytes.end(), more.begin(), more.end());
    send(bytes);
  }

 private:
  asio::io_context context_;
  tcp::socket socket_;
};

// `Opener` is what the server opens streams with.
template <class Opener>
class ProxyServerFixture : public testing::Test {
 protected:
  ~ProxyServerFixture() override {
    if (server) stop();
    work.reset();
    thread.join();
  }

  // What `question` says on the server's thread.
  template <class Question>
  auto on_server(Question question) {
    std::promise<decltype(question())> answer;
    asio::post(context, [&] { answer.set_value(question()); });
    return answer.get_future().get();
  }
  void start(ProxyServerOptions options = {}) {
    options.listen = {tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
    auto listening = ProxyServer::listen(opener, options);
    ASSERT_TRUE(listening.has_value()) << listening.error().text;
    server = *listening;
    on_server([this] { return server->start(), true; });
  }
  void stop() {
    asio::co_spawn(context, server->stop(), asio::use_future).get();
    server.reset();
  }

  // Returns once `condition` holds on the server's thread; fails the test when that takes ten seconds.
  template <class Condition>
  void eventually(Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!on_server(condition)) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up);
      std::this_thread::yield();
    }
  }

  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::shared_ptr<Opener> opener = std::make_shared<Opener>(context.get_executor());
  std::shared_ptr<ProxyServer> server;
  std::thread thread{[this] { context.run(); }};
};

}  // namespace zks::frontdoor
