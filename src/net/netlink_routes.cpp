// SPDX-License-Identifier: MIT
#include "net/netlink_routes.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace zks::net {
namespace {

// The kernel fills up to 32 KiB of a dump at once (netlink(7)).
constexpr std::size_t kDatagramBytes = 32 * 1024;
// The kernel answers at once; this only keeps a broken one from holding the exit for ever.
constexpr timeval kAnswerTimeout{.tv_sec = 2, .tv_usec = 0};

// C's alignment macros hide casts; lengths come from the kernel and are checked all the same.
constexpr std::size_t aligned(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

Error netlink_error(const char* what) {
  const int number = errno;
  return make_error(ErrorKind::kIo, std::string(what) + ": " + std::strerror(number), number);
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

bool is_on_link(const rtmsg& route, bool has_gateway) {
  switch (route.rtm_type) {
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST:
      return true;
    case RTN_UNICAST:
      return !has_gateway && (route.rtm_protocol == RTPROT_KERNEL || route.rtm_protocol == RTPROT_RA);
    default:
      return false;
  }
}

// `data`: a rtmsg and its attributes.
std::optional<OnLinkRoute> parse_route(const std::uint8_t* data, std::size_t size) {
  rtmsg route{};
  if (size < sizeof route) return std::nullopt;
  std::memcpy(&route, data, sizeof route);
  const bool ipv4 = route.rtm_family == AF_INET;
  if ((!ipv4 && route.rtm_family != AF_INET6) || route.rtm_dst_len > (ipv4 ? 32 : 128)) return std::nullopt;

  OnLinkRoute out;
  std::optional<IpAddress> destination;
  bool has_gateway = false;
  for (std::size_t at = aligned(sizeof route); at + sizeof(rtattr) <= size;) {
    rtattr attribute{};
    std::memcpy(&attribute, data + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > size - at) break;
    const std::uint8_t* value = data + at + sizeof attribute;
    const std::size_t length = attribute.rta_len - sizeof attribute;
    if (attribute.rta_type == RTA_DST && length == (ipv4 ? 4 : 16)) {
      destination = ipv4 ? make_ipv4(value) : make_ipv6(value);
    } else if (attribute.rta_type == RTA_OIF && length == sizeof out.interface) {
      std::memcpy(&out.interface, value, sizeof out.interface);
    } else if (attribute.rta_type == RTA_GATEWAY || attribute.rta_type == RTA_VIA) {
      has_gateway = true;
    }
    at += aligned(attribute.rta_len);
  }
  if (!destination || !is_on_link(route, has_gateway)) return std::nullopt;
  out.prefix = make_prefix(*destination, route.rtm_dst_len);
  return out;
}

Result<std::unique_ptr<Socket>> open_netlink(int flags, unsigned groups) {
  auto socket =
      std::make_unique<Socket>(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (socket->get() < 0) return netlink_error("can't open rtnetlink");
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  if (::bind(socket->get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
    return netlink_error("can't bind rtnetlink");
  }
  return socket;
}

Result<> request_dump(int netlink) {
  struct {
    nlmsghdr header{};
    rtmsg route{};
  } request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.route.rtm_family = AF_UNSPEC;
  if (::send(netlink, &request, sizeof request, 0) != sizeof request) {
    return netlink_error("can't ask for routes");
  }
  return {};
}

}  // namespace

Result<bool> parse_route_dump(const std::uint8_t* data, std::size_t size, std::vector<OnLinkRoute>& out) {
  for (std::size_t at = 0; at + sizeof(nlmsghdr) <= size;) {
    nlmsghdr header{};
    std::memcpy(&header, data + at, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at) {
      return make_error(ErrorKind::kIo, "rtnetlink gave a message of a wrong length");
    }
    if (header.nlmsg_type == NLMSG_DONE) return true;
    if (header.nlmsg_type == NLMSG_ERROR) {
      return make_error(ErrorKind::kIo, "rtnetlink refused to list routes");
    }
    if (header.nlmsg_type == RTM_NEWROUTE) {
      const auto route = parse_route(data + at + sizeof header, header.nlmsg_len - sizeof header);
      if (route) out.push_back(*route);
    }
    at += aligned(header.nlmsg_len);
  }
  return false;
}

Result<std::vector<OnLinkRoute>> read_on_link_routes() {
  const auto socket = open_netlink(0, 0);
  if (!socket) return socket.error();
  const int netlink = (*socket)->get();
  ::setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof kAnswerTimeout);
  if (auto sent = request_dump(netlink); !sent) return sent.error();

  std::vector<OnLinkRoute> out;
  std::vector<std::uint8_t> buffer(kDatagramBytes);
  while (true) {
    const ssize_t got = ::recv(netlink, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return netlink_error("can't read routes");
    const auto last = parse_route_dump(buffer.data(), static_cast<std::size_t>(got), out);
    if (!last) return last.error();
    if (*last) return out;
  }
}

Result<int> subscribe_to_changes() {
  const auto socket =
      open_netlink(SOCK_NONBLOCK, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                      RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_PREFIX);
  if (!socket) return socket.error();
  return (*socket)->release();
}

void drain_changes(int netlink) {
  std::array<std::uint8_t, 4096> buffer;
  while (::recv(netlink, buffer.data(), buffer.size(), MSG_TRUNC) >= 0 || errno == ENOBUFS) {
  }
}

}  // namespace zks::net
