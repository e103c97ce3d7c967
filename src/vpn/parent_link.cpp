// SPDX-License-Identifier: MIT
#include "vpn/parent_link.hpp"

#include <cerrno>
#include <cstring>

#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.hpp"
#include "net/wakeup.hpp"

namespace zks::vpn {

using asio::ip::tcp;
using asio::posix::stream_descriptor;

namespace {

constexpr std::chrono::seconds kSocketPatience{5};

// Made here, as g++ 12 can't do it within a coroutine.
nlohmann::json socket_request(int family, int type) {
  return {{"do", "socket"}, {"family", family == AF_INET ? 4 : 6}, {"udp", type == SOCK_DGRAM}};
}

nlohmann::json look_up_request(const std::string& host, std::uint16_t port) {
  return {{"do", "look_up"}, {"host", host}, {"port", port}};
}

}  // namespace

struct ParentLink::Question {
  explicit Question(const asio::any_io_executor& executor) : answered(executor) {}
  net::Wakeup answered;
  std::optional<Message> answer;
};

ParentLink::ParentLink(const asio::any_io_executor& executor, Fd socket, std::function<void()> on_parent_gone)
    : socket_(executor, socket.release()), on_parent_gone_(std::move(on_parent_gone)) {}

Result<std::string> ParentLink::prepared() {
  if (auto said = send_message(socket_.native_handle(), {{"do", "prepared"}}); !said) return said.error();
  for (;;) {
    pollfd waiting{socket_.native_handle(), POLLIN, 0};
    if (::poll(&waiting, 1, -1) < 0 && errno != EINTR)
      return make_error(ErrorKind::kIo, std::strerror(errno));
    auto message = receive_message(socket_.native_handle(), Descriptors::kOne);
    if (!message) return message.error();
    if (!*message) continue;
    return read_file((*message)->fd);
  }
}

void ParentLink::stop() {
  on_parent_gone_ = nullptr;
  on_asked_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
  for (const auto& [id, question] : questions_) question->answered.notify();
}

void ParentLink::wait() {
  socket_.async_wait(stream_descriptor::wait_read,
                     [weak = weak_from_this()](const boost::system::error_code& ec) {
                       if (const auto self = weak.lock(); self && !ec) self->on_readable();
                     });
}

void ParentLink::on_readable() {
  for (;;) {
    auto message = receive_message(socket_.native_handle(), Descriptors::kOne);
    if (!message) {
      log::error("the parent process is gone");
      if (on_parent_gone_) on_parent_gone_();
      return stop();
    }
    if (!*message) return wait();
    if ((*message)->body.contains("do")) {
      if (on_asked_) on_asked_(std::move((*message)->body));
      continue;
    }
    const auto at = questions_.find((*message)->body.value("id", std::uint64_t{0}));
    if (at == questions_.end()) continue;
    at->second->answer = std::move(**message);
    at->second->answered.notify();
  }
}

net::Task<Message> ParentLink::ask(nlohmann::json body, TimePoint deadline) {
  const auto self = shared_from_this();
  const std::uint64_t id = ++last_question_;
  body["id"] = id;
  const auto question = std::make_shared<Question>(socket_.get_executor());
  if (!socket_.is_open()) co_return make_error(ErrorKind::kClosed, "the parent process is gone");
  if (auto sent = send_message(socket_.native_handle(), body); !sent) co_return sent.error();
  questions_[id] = question;
  while (!question->answer && socket_.is_open() && std::chrono::steady_clock::now() < deadline) {
    co_await question->answered.wait_until(deadline);
  }
  questions_.erase(id);
  if (!question->answer) co_return make_error(ErrorKind::kTimeout, "the parent process does not answer");
  if (question->answer->body.contains("error")) {
    co_return make_error(ErrorKind::kNetwork, question->answer->body.value("error", ""));
  }
  co_return std::move(*question->answer);
}

net::Task<Fd> ParentLink::open_socket(int family, int type) {
  const auto deadline = std::chrono::steady_clock::now() + kSocketPatience;
  auto answer = co_await ask(socket_request(family, type), deadline);
  if (!answer) co_return answer.error();
  if (!answer->fd) co_return make_error(ErrorKind::kIo, "the parent process gave no socket");
  co_return std::move(answer->fd);
}

net::Task<tcp::socket> ParentLink::open(tcp protocol) {
  auto fd = co_await open_socket(protocol.family(), protocol.type());
  if (!fd) co_return fd.error();
  tcp::socket socket(socket_.get_executor());
  boost::system::error_code ec;
  socket.assign(protocol, fd->get(), ec);
  if (ec) co_return make_error(ErrorKind::kIo, "a socket of the parent's: " + ec.message(), ec.value());
  fd->release();
  co_return std::move(socket);
}

net::Task<std::vector<tcp::endpoint>> ParentLink::look_up(std::string host, std::uint16_t port,
                                                          TimePoint deadline) {
  auto answer = co_await ask(look_up_request(host, port), deadline);
  if (!answer) co_return answer.error();
  std::vector<tcp::endpoint> out;
  for (const auto& text : answer->body.value("addresses", std::vector<std::string>())) {
    boost::system::error_code ec;
    const auto address = asio::ip::make_address(text, ec);
    if (!ec) out.emplace_back(address, port);
  }
  if (out.empty()) co_return make_error(ErrorKind::kNetwork, host + " has no address");
  co_return out;
}

void ParentLink::say(const nlohmann::json& body) {
  if (socket_.is_open()) (void)send_message(socket_.native_handle(), body);
}

Result<> drop_privileges(const std::string& user) {
  const auto failed = [](const char* what) {
    return make_error(ErrorKind::kIo, std::string(what) + ": " + std::strerror(errno), errno);
  };
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  if (::geteuid() == 0) {
    const passwd* who = ::getpwnam(user.c_str());
    if (who == nullptr) return make_error(ErrorKind::kUsage, "--run-as: there is no user " + user);
    if (who->pw_uid == 0) return make_error(ErrorKind::kUsage, "--run-as: not root");
    if (::setgroups(0, nullptr) != 0) return failed("setgroups");
    if (::setresgid(who->pw_gid, who->pw_gid, who->pw_gid) != 0) return failed("setresgid");
    if (::setresuid(who->pw_uid, who->pw_uid, who->pw_uid) != 0) return failed("setresuid");
  }
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return failed("capset");
  return {};
}

}  // namespace zks::vpn
