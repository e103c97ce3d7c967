// SPDX-License-Identifier: MIT
#include "vpn/private_namespace.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/system_error.hpp"
#include "vpn/namespace_routes.hpp"
#include "vpn/supervisor_wire.hpp"

namespace zks::vpn {
namespace {

constexpr const char* kDevice = "inner";
constexpr std::uint16_t kPort = 1'024;  // nobody else listens here; lower ones take another capability
constexpr int kBacklog = 4096;

// Packets to be delivered here are marked, and a rule finds a table in which everything is local: TCP, and
// ICMP errors about it, by which this kernel finds the path's MTU (error_gate.hpp has looked at them).
constexpr const char* kRules = R"(
table inet zks {
  chain divert {
    type filter hook prerouting priority mangle
    meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:1024 meta mark set 1 accept
    meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:1024 meta mark set 1 accept
    icmp type { destination-unreachable, time-exceeded, parameter-problem } meta mark set 1 accept
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } meta mark set 1 accept
  }
}
)";

Result<> bring_up(const char* name, unsigned mtu) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (mtu != 0) {
    request.ifr_mtu = static_cast<int>(mtu);
    if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0)
      return system_error("set the MTU of the inner device", errno);
  }
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0)
    return system_error("set up " + std::string(name), errno);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
    return system_error("set up " + std::string(name), errno);
  return {};
}

// Best effort: where one is not there, its default does.
void set_sysctl(const std::string& name, const char* value) {
  std::ofstream file("/proc/sys/net/" + name);
  file << value;
}

void tune() {
  set_sysctl("ipv4/conf/all/rp_filter", "0");
  set_sysctl(std::string("ipv4/conf/") + kDevice + "/rp_filter", "0");
  set_sysctl("ipv4/tcp_syncookies", "0");  // a stray ACK is no connection
  set_sysctl("ipv4/tcp_fin_timeout", "10");
  set_sysctl("ipv4/tcp_retries2", "8");  // 100 s (RFC 1122, section 4.2.3.5): the program's kernel is near
  set_sysctl("core/somaxconn", "4096");
}

Result<> divert_connections() {
  std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context(nft_ctx_new(NFT_CTX_DEFAULT), &nft_ctx_free);
  if (!context) return make_error(ErrorKind::kIo, "nftables can't be used");
  nft_ctx_buffer_error(context.get());
  if (nft_run_cmd_from_buffer(context.get(), kRules) == 0) return {};
  const std::string_view text(nft_ctx_get_error_buffer(context.get()));
  return make_error(ErrorKind::kUsage, "the kernel can't divert connections; try modprobe nft_tproxy (" +
                                           std::string(text.substr(0, text.find('\n'))) + ")");
}

template <class Address>
Result<Fd> listen_at(const Address& address, int family) {
  Fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  const int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  const int option = family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT;
  if (!socket || ::setsockopt(socket.get(), level, option, &yes, sizeof(yes)) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return system_error("listen in the private namespace", errno);
  }
  return socket;
}

Result<Fd> listen_ipv4() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return listen_at(address, AF_INET);
}

Result<Fd> listen_ipv6() {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(kPort);
  address.sin6_addr = in6addr_loopback;
  return listen_at(address, AF_INET6);
}

Result<PrivateNamespace> make_here(unsigned mtu, bool offloads) {
  if (::unshare(CLONE_NEWNET) != 0) return system_error("make a network namespace", errno);
  PrivateNamespace out;
  auto device = open_tun(kDevice, offloads);
  if (!device) return device.error();
  out.device = std::move(*device);
  set_sysctl(std::string("ipv6/conf/") + kDevice + "/addr_gen_mode", "1");  // none of its own
  tune();
  for (const auto& up : {bring_up("lo", 0), bring_up(kDevice, mtu)}) {
    if (!up) return up.error();
  }
  if (auto routed = route_everything_here(::if_nametoindex(kDevice), ::if_nametoindex("lo")); !routed)
    return routed.error();
  if (auto diverted = divert_connections(); !diverted) return diverted.error();
  auto ipv4 = listen_ipv4();
  if (!ipv4) return ipv4.error();
  auto ipv6 = listen_ipv6();
  if (!ipv6) return ipv6.error();
  out.listener_ipv4 = std::move(*ipv4);
  out.listener_ipv6 = std::move(*ipv6);
  return out;
}

[[noreturn]] void child(int socket, unsigned mtu, bool offloads) {
  auto made = make_here(mtu, offloads);
  if (made) {
    const TunDevice& device = made->device;
    (void)send_message(socket, {{"segments", device.segments}, {"datagrams", device.datagrams}},
                       device.fd.get());
    (void)send_message(socket, nlohmann::json::object(), made->listener_ipv4.get());
    (void)send_message(socket, nlohmann::json::object(), made->listener_ipv6.get());
  } else {
    (void)send_message(socket, {{"error", made.error().text}});
  }
  ::_exit(0);
}

Result<Message> next_message(int socket) {
  auto message = receive_message(socket, Descriptors::kOne);
  if (!message) return message.error();
  if (!*message) return make_error(ErrorKind::kIo, "the private namespace was not made");
  if ((*message)->body.contains("error")) {
    return make_error(ErrorKind::kUsage, (*message)->body["error"].get<std::string>());
  }
  return std::move(**message);
}

}  // namespace

Result<PrivateNamespace> make_private_namespace(unsigned mtu, bool offloads) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return system_error("make a pair of sockets", errno);
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("fork", errno);
  if (pid == 0) child(theirs.get(), mtu, offloads);
  theirs = Fd();
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  PrivateNamespace out;
  out.device.name = kDevice;
  for (Fd* fd : {&out.device.fd, &out.listener_ipv4, &out.listener_ipv6}) {
    auto message = next_message(ours.get());
    if (!message) return message.error();
    *fd = std::move(message->fd);
    if (fd != &out.device.fd) continue;
    out.device.segments = message->body.value("segments", false);
    out.device.datagrams = message->body.value("datagrams", false);
  }
  return out;
}

}  // namespace zks::vpn
