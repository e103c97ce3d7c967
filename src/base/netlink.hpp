// SPDX-License-Identifier: MIT
//
// Netlink by libmnl: requests of rtnetlink and sock_diag, and the news that something changed. For host/, and
// for the networks of this machine (net/interfaces.hpp).
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "base/fd.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace zks {

// One request. What is put in has fixed sizes, of which kBytes holds many times the most.
class NetlinkMessage {
 public:
  NetlinkMessage(std::uint16_t type, std::uint16_t flags);
  // The request with which what a dump has shown can be removed: the same bytes under another type.
  // Nothing for a message that is too long to be one of ours.
  static std::unique_ptr<NetlinkMessage> copy(const nlmsghdr& shown, std::uint16_t type);

  // The fixed part behind nlmsghdr, zeroed.
  template <class T>
  T& body() {
    return *static_cast<T*>(mnl_nlmsg_put_extra_header(header(), sizeof(T)));
  }
  // The same, once it is there.
  template <class T>
  T& fixed() {
    return *static_cast<T*>(mnl_nlmsg_get_payload(header()));
  }
  void put(std::uint16_t type, std::uint32_t value) { mnl_attr_put_u32(header(), type, value); }
  void put(std::uint16_t type, const IpAddress& address);

  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }

 private:
  static constexpr std::size_t kBytes = 2048;
  alignas(nlmsghdr) std::array<char, kBytes> bytes_{};
};

// A socket that does not block, and is readable when something of these multicast groups (a bit each) changed
// in this thread's network namespace.
Result<Fd> watch_netlink(int protocol, unsigned groups);
// Takes all messages off such a socket. What they say does not matter, nor whether some were lost: whoever
// watches looks again.
void drain_netlink(int socket);
constexpr unsigned netlink_group(unsigned number) {
  return 1U << (number - 1);
}

int family_of(const IpAddress& address);  // AF_INET or AF_INET6

// One socket, for the thread that made it. Errors have errno in `detail`.
class Netlink {
 public:
  static Result<Netlink> open(int protocol = NETLINK_ROUTE);

  // How long to wait for each part of an answer, kIo with EAGAIN after that; without a call, for ever.
  void limit_answers(std::chrono::seconds time);
  // Waits for the kernel's answer. `action` is what an error says could not be done.
  Result<> request(NetlinkMessage& message, const std::string& action);
  // Each message of the answer.
  Result<> dump(NetlinkMessage& message, const std::string& action,
                const std::function<void(const nlmsghdr&)>& each);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  explicit Netlink(mnl_socket* socket) : socket_(socket) {}
  Result<> exchange(NetlinkMessage& message, const std::string& action,
                    const std::function<void(const nlmsghdr&)>& each);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace zks
