// SPDX-License-Identifier: MIT
//
// A process without rights (the worker, the name process) at its end of what vpn's processes say to each
// other (supervisor_wire.hpp), and how it becomes nobody.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/fd.hpp"
#include "net/egress.hpp"
#include "vpn/supervisor_wire.hpp"

namespace zks::vpn {

namespace asio = boost::asio;

// Executor: the one given. Lifetime: shared; nothing is called after stop().
class ParentLink final : public net::Uplink, public std::enable_shared_from_this<ParentLink> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  ParentLink(const asio::any_io_executor& executor, Fd socket, std::function<void()> on_parent_gone);
  // Before start(), once nothing of the worker's own can fail any more: the parent sets the machine up, and
  // says how, in JSON. Blocks. kClosed: it could not, and said so.
  Result<std::string> prepared();
  void start() { wait(); }
  void stop();
  // What the parent asks of this process; nothing is answered to anything else.
  void on_asked(std::function<void(nlohmann::json)> handler) { on_asked_ = std::move(handler); }
  void say(const nlohmann::json& body);

  net::Task<asio::ip::tcp::socket> open(asio::ip::tcp protocol) override;
  // SOCK_STREAM or SOCK_DGRAM, which the parent gives to the name process alone.
  net::Task<Fd> open_socket(int family, int type);
  net::Task<std::vector<asio::ip::tcp::endpoint>> look_up(std::string host, std::uint16_t port,
                                                          TimePoint deadline) override;
  void tell_alive() { say({{"do", "alive"}}); }
  void tell_up(const std::vector<std::string>& lines) { say({{"do", "up"}, {"lines", lines}}); }

 private:
  struct Question;

  net::Task<Message> ask(nlohmann::json body, TimePoint deadline);
  void wait();
  void on_readable();

  asio::posix::stream_descriptor socket_;
  std::function<void()> on_parent_gone_;
  std::function<void(nlohmann::json)> on_asked_;
  std::map<std::uint64_t, std::shared_ptr<Question>> questions_;
  std::uint64_t last_question_ = 0;
};

// Gives up every right, for good: user and groups become those of `user` ("nobody") when this is root, and no
// capability is left. kUsage: there is no such user.
Result<> drop_privileges(const std::string& user);

}  // namespace zks::vpn
