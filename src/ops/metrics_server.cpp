// SPDX-License-Identifier: MIT
#include "ops/metrics_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <prometheus/text_serializer.h>

#include "base/log.hpp"
#include "base/log_failure.hpp"
#include "net/as_tuple.hpp"

namespace zks::ops {
namespace {

namespace asio = boost::asio;
using net::kTuple;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr std::chrono::milliseconds kPause{100};  // after an accept that failed for lack of descriptors

struct Answer {
  http::status status;
  std::string type;
  std::string body;
};

http::response<http::string_body> respond(Answer answer, bool with_body) {
  http::response<http::string_body> response(answer.status, 11);
  response.set(http::field::content_type, answer.type);
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (answer.status == http::status::method_not_allowed) response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(false);
  response.content_length(answer.body.size());
  if (with_body) response.body() = std::move(answer.body);
  return response;
}

http::status status_of(const boost::system::error_code& ec) {
  const bool long_header = ec == http::error::header_limit || ec == http::error::buffer_overflow;
  return long_header ? http::status::request_header_fields_too_large : http::status::bad_request;
}

}  // namespace

Result<net::Endpoints> parse_metrics_address(std::string_view text) {
  constexpr std::uint16_t kPort = 9464;
  return net::parse_listen(text, kPort);
}

Result<std::shared_ptr<MetricsServer>> MetricsServer::listen(asio::any_io_executor executor,
                                                             const net::Endpoints& addresses,
                                                             Collectables collectables, Health healthy) {
  auto acceptors = net::listen_on_all(executor, addresses, {});
  if (!acceptors) {
    return make_error(ErrorKind::kIo, "--metrics: " + acceptors.error().text, acceptors.error().detail);
  }
  return std::make_shared<MetricsServer>(std::move(*acceptors), std::move(collectables), std::move(healthy));
}

MetricsServer::MetricsServer(std::vector<tcp::acceptor> acceptors, Collectables collectables, Health healthy)
    : address_(acceptors.front().local_endpoint()),
      collectables_(std::move(collectables)),
      healthy_(std::move(healthy)) {
  for (tcp::acceptor& acceptor : acceptors) {
    const auto executor = acceptor.get_executor();
    doors_.push_back({std::move(acceptor), asio::steady_timer(executor)});
  }
}

void MetricsServer::start() {
  const std::string where = net::listen_text({address_});
  log::info("metrics on http://{}/metrics", where);
  if (!address_.address().is_loopback()) {
    log::warn("--metrics: whoever can reach {} can read them; there is no password", where);
  }
  for (Door& door : doors_) {
    asio::co_spawn(door.acceptor.get_executor(), accept_loop(shared_from_this(), &door),
                   [](const std::exception_ptr& failure) { log_failure(failure, "metrics"); });
  }
}

void MetricsServer::stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  for (Door& door : doors_) {
    door.acceptor.close(ignored);
    door.pause.cancel();
  }
  for (const auto& stream : connections_) stream->close();
}

asio::awaitable<void> MetricsServer::accept_loop(std::shared_ptr<MetricsServer> self, Door* door) {
  while (!self->stopping_) {
    self->spare_.fill();
    auto [ec, socket] = co_await door->acceptor.async_accept(kTuple);
    if (self->stopping_) co_return;
    self->spare_.accept(door->acceptor, socket, ec);
    if (ec) {
      door->pause.expires_after(kPause);
      [[maybe_unused]] auto [pause_ec] = co_await door->pause.async_wait(kTuple);
      continue;
    }
    // An honest scrape takes milliseconds: only a stuck or hostile one is old.
    if (self->connections_.size() >= kMaxConnections) {
      self->connections_.front()->close();
      self->connections_.pop_front();
    }
    auto stream = std::make_shared<Stream>(std::move(socket));
    self->connections_.push_back(stream);
    asio::co_spawn(door->acceptor.get_executor(), serve(self, stream),
                   [self, stream](const std::exception_ptr& failure) {
                     log_failure(failure, "metrics");
                     self->connections_.remove(stream);
                     self->spare_.fill();
                   });
  }
}

asio::awaitable<void> MetricsServer::serve(std::shared_ptr<MetricsServer> self, StreamPtr stream) {
  stream->expires_after(kTimeLimit);
  boost::beast::flat_buffer buffer(kMaxHeaderBytes);
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxHeaderBytes);
  auto [ec, size] = co_await http::async_read_header(*stream, buffer, parser, kTuple);
  const bool spoke = !ec || ec.category() == http::make_error_code(http::error::bad_value).category();
  if (!spoke || ec == http::error::end_of_stream || ec == http::error::partial_message) co_return;
  const auto& request = parser.get();
  const auto method = request.method();
  Answer answer{http::status::not_found, "text/plain", "GET /metrics or /healthz\n"};
  if (ec) {
    answer = {status_of(ec), "text/plain", "not a request that is understood here\n"};
  } else if (method != http::verb::get && method != http::verb::head) {
    answer.status = http::status::method_not_allowed;
  } else if (request.target() == "/metrics") {
    answer = {http::status::ok, "text/plain; version=0.0.4; charset=utf-8", self->metrics()};
  } else if (request.target() == "/healthz") {
    const bool good = !self->healthy_ || self->healthy_();
    answer = {good ? http::status::ok : http::status::service_unavailable, "application/json",
              "{\"version\":\"" ZKS_VERSION "\"}\n"};
  }
  stream->expires_after(kTimeLimit);
  const auto response = respond(std::move(answer), method != http::verb::head);
  auto [write_ec, written] = co_await http::async_write(*stream, response, kTuple);
  boost::system::error_code ignored;
  if (!write_ec) stream->socket().shutdown(tcp::socket::shutdown_send, ignored);
  // Closing with unread bytes resets the connection, which may take the answer away from its reader.
  std::array<char, 1024> unread;
  if (!write_ec) {
    [[maybe_unused]] auto [read_ec, count] = co_await stream->async_read_some(asio::buffer(unread), kTuple);
  }
  stream->close();
}

std::string MetricsServer::metrics() {
  spare_.give();  // for what is read in /proc
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : collectables_) {
    auto more = collectable->Collect();
    std::move(more.begin(), more.end(), std::back_inserter(families));
  }
  spare_.fill();
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace zks::ops
