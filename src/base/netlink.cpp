// SPDX-License-Identifier: MIT
#include "base/netlink.hpp"

#include <cerrno>
#include <cstring>
#include <vector>

#include <sys/socket.h>
#include <sys/time.h>

#include "base/system_error.hpp"

namespace zks {
namespace {

// A dump's datagrams have at most 32 KiB (NLMSG_GOODSIZE and what recvmsg asks for).
constexpr std::size_t kDatagramBytes = 32 * 1024;

int pass_on(const nlmsghdr* message, void* each) {
  (*static_cast<const std::function<void(const nlmsghdr&)>*>(each))(*message);
  return MNL_CB_OK;
}

// "Something changed meanwhile", at which libmnl would end the dump. Whoever must not miss anything asks
// again.
void forget_interruption(void* data, int size) {
  for (auto* at = static_cast<nlmsghdr*>(data); mnl_nlmsg_ok(at, size); at = mnl_nlmsg_next(at, &size)) {
    at->nlmsg_flags = static_cast<std::uint16_t>(at->nlmsg_flags & ~NLM_F_DUMP_INTR);
  }
}

}  // namespace

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr* const begun = mnl_nlmsg_put_header(bytes_.data());
  begun->nlmsg_type = type;
  begun->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
}

std::unique_ptr<NetlinkMessage> NetlinkMessage::copy(const nlmsghdr& shown, std::uint16_t type) {
  if (shown.nlmsg_len > kBytes) return nullptr;
  auto out = std::make_unique<NetlinkMessage>(type, NLM_F_ACK);
  std::memcpy(out->bytes_.data() + sizeof(nlmsghdr), reinterpret_cast<const char*>(&shown) + sizeof(nlmsghdr),
              shown.nlmsg_len - sizeof(nlmsghdr));
  out->header()->nlmsg_len = shown.nlmsg_len;
  return out;
}

void NetlinkMessage::put(std::uint16_t type, const IpAddress& address) {
  mnl_attr_put(header(), type, address.bits() / 8, address.bytes.data());
}

Result<Fd> watch_netlink(int protocol, unsigned groups) {
  Fd out(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  own.nl_groups = groups;
  if (!out || ::bind(out.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) {
    return system_error("watch this machine's network settings", errno);
  }
  return out;
}

void drain_netlink(int socket) {
  char first = 0;  // the kernel drops the rest of each message
  // ENOBUFS: more came than the socket holds. That is a change too, and what comes next can be read.
  while (::recv(socket, &first, sizeof first, 0) >= 0 || errno == ENOBUFS || errno == EINTR) {
  }
}

int family_of(const IpAddress& address) {
  return address.is_ipv4() ? AF_INET : AF_INET6;
}

Result<Netlink> Netlink::open(int protocol) {
  Netlink out(mnl_socket_open2(protocol, SOCK_CLOEXEC));
  if (!out.socket_ || mnl_socket_bind(out.socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0) {
    return system_error("open netlink", errno);
  }
  // Dumps then show only what was asked for. Kernels before 4.20 show all, and the callers look anyway.
  int on = 1;
  mnl_socket_setsockopt(out.socket_.get(), NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return out;
}

void Netlink::limit_answers(std::chrono::seconds time) {
  const timeval limit{.tv_sec = time.count(), .tv_usec = 0};
  (void)::setsockopt(mnl_socket_get_fd(socket_.get()), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

Result<> Netlink::request(NetlinkMessage& message, const std::string& action) {
  message.header()->nlmsg_flags |= NLM_F_ACK;
  return exchange(message, action, [](const nlmsghdr&) {});
}

Result<> Netlink::dump(NetlinkMessage& message, const std::string& action,
                       const std::function<void(const nlmsghdr&)>& each) {
  message.header()->nlmsg_flags |= NLM_F_DUMP;
  return exchange(message, action, each);
}

Result<> Netlink::exchange(NetlinkMessage& message, const std::string& action,
                           const std::function<void(const nlmsghdr&)>& each) {
  message.header()->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message.header(), message.header()->nlmsg_len) < 0) {
    return system_error(action, errno);
  }
  std::vector<char> buffer(kDatagramBytes);
  while (true) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(action, errno);
    forget_interruption(buffer.data(), static_cast<int>(got));
    auto* const handed = const_cast<void*>(static_cast<const void*>(&each));
    const int state = mnl_cb_run(buffer.data(), static_cast<std::size_t>(got), sequence_,
                                 mnl_socket_get_portid(socket_.get()), pass_on, handed);
    if (state < 0) return system_error(action, errno);
    if (state == MNL_CB_STOP) return {};
  }
}

}  // namespace zks
