// SPDX-License-Identifier: MIT
//
// /metrics: families as text, and the server against requests that are honest, wrong, slow and many.
#include <array>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "ops/families.hpp"
#include "ops/metrics_server.hpp"
#include "ops/process_metrics.hpp"

namespace zks::ops {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;

TEST(FamiliesTest, AreTextWithHelpTypeAndLabels) {
  Families families;
  families.counter("zks_x_total", "Things.", 3);
  families.gauges("zks_y", "Others.", "kind", {{1.5, "a"}, {2, "b"}});
  families.counters("zks_z_total", "Both.", {{{{"by", "peer"}, {"code", "1000"}}, 7}});
  const std::string text = prometheus::TextSerializer().Serialize(families.take());
  EXPECT_THAT(text, HasSubstr("# HELP zks_x_total Things.\n# TYPE zks_x_total counter\nzks_x_total 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE zks_y gauge\nzks_y{kind=\"a\"} 1.5\nzks_y{kind=\"b\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("zks_z_total{by=\"peer\",code=\"1000\"} 7\n"));
}

TEST(ProcessMetricsTest, KnowsThisProcess) {
  const std::string text = prometheus::TextSerializer().Serialize(ProcessMetrics("tests").Collect());
  for (const char* name : {"process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_cpu_seconds_total", "process_start_time_seconds"}) {
    EXPECT_THAT(text, HasSubstr("\n" + std::string(name) + " "));
    EXPECT_THAT(text, testing::Not(HasSubstr("\n" + std::string(name) + " 0\n")));
  }
  EXPECT_THAT(text, HasSubstr("zks_build_info{version=\"" ZKS_VERSION "\",program=\"tests\"} 1\n"));
}

TEST(MetricsAddressTest, IsNumeric) {
  EXPECT_EQ(parse_metrics_address("127.0.0.1:9100")->front().port(), 9100);
  EXPECT_EQ(net::listen_text(*parse_metrics_address("localhost")), "127.0.0.1:9464, [::1]:9464");
  EXPECT_TRUE(parse_metrics_address("[::1]:0"));
  EXPECT_FALSE(parse_metrics_address("metrics.example:9100"));
  EXPECT_FALSE(parse_metrics_address(""));
}

class One final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    Families families;
    families.gauge("zks_one", "One.", 1);
    return families.take();
  }
};

class MetricsServerTest : public testing::Test {
 protected:
  MetricsServerTest() {
    server_ = *MetricsServer::listen(io_.get_executor(), {tcp::endpoint(asio::ip::address_v4::loopback(), 0)},
                                     {std::make_shared<One>()});
    address_ = server_->address();
    server_->start();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~MetricsServerTest() override {
    asio::post(io_, [this] { server_->stop(); });
    thread_.join();  // nothing keeps it running after stop()
  }
  tcp::socket connect() {
    tcp::socket socket(asking_);
    socket.connect(address_);
    return socket;
  }
  static std::string read_all(tcp::socket& socket) {
    std::string out;
    boost::system::error_code ec;
    asio::read(socket, asio::dynamic_buffer(out), ec);
    return out;
  }
  std::string ask(const std::string& request) {
    auto socket = connect();
    boost::system::error_code ec;
    asio::write(socket, asio::buffer(request), ec);
    return read_all(socket);
  }

  asio::io_context io_;
  asio::io_context asking_;
  std::shared_ptr<MetricsServer> server_;
  tcp::endpoint address_;
  std::thread thread_;
};

TEST_F(MetricsServerTest, ServesMetricsAndHealth) {
  const std::string metrics = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(metrics, testing::StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(metrics, HasSubstr("zks_one 1\n"));
  EXPECT_THAT(ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("\"version\":\"" ZKS_VERSION "\""));
  const std::string head = ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(head, testing::StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(head, testing::EndsWith("\r\n\r\n"));
}

TEST_F(MetricsServerTest, AndNothingElse) {
  EXPECT_THAT(ask("GET / HTTP/1.1\r\n\r\n"), testing::StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask("GET /metrics/../etc HTTP/1.1\r\n\r\n"), testing::StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask("GET http://x/metrics HTTP/1.1\r\n\r\n"), testing::StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd"),
              testing::StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(ask("nonsense\r\n\r\n"), testing::StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n"),
              testing::StartsWith("HTTP/1.1 431"));
}

TEST_F(MetricsServerTest, TheOldestOfTooManyGoes) {
  std::vector<tcp::socket> silent;
  for (std::size_t i = 0; i < MetricsServer::kMaxConnections; ++i) silent.push_back(connect());
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr("zks_one 1\n"));
  EXPECT_EQ(read_all(silent.front()), "");
}

TEST_F(MetricsServerTest, SlowOnesAreGivenUp) {
  auto slow = connect();
  asio::write(slow, asio::buffer(std::string("GET /met")));
  EXPECT_EQ(read_all(slow), "");  // after kTimeLimit
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr("zks_one 1\n"));
}

TEST(MetricsServerListenTest, ATakenAddressIsAnError) {
  asio::io_context io;
  const auto first =
      MetricsServer::listen(io.get_executor(), {tcp::endpoint(asio::ip::address_v4::loopback(), 0)}, {});
  ASSERT_TRUE(first);
  const auto second = MetricsServer::listen(io.get_executor(), {(*first)->address()}, {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().text, HasSubstr("--metrics"));
}

}  // namespace
}  // namespace zks::ops
