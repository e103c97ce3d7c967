// SPDX-License-Identifier: MIT
#include "exit/ping_socket.hpp"

#include <cerrno>

#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace zks::exit {
namespace {

constexpr std::size_t kEchoHeader = 8;
constexpr std::uint8_t kRequestV4 = 8;
constexpr std::uint8_t kRequestV6 = 128;
constexpr std::uint8_t kReplyV4 = 0;
constexpr std::uint8_t kReplyV6 = 129;

// RFC 1071, over header and data; of a raw IPv4 socket it is ours to fill in.
std::uint16_t checksum(ByteView header, ByteView data) {
  std::uint32_t sum = 0;
  for (const ByteView part : {header, data}) {  // the header's length is even
    for (std::size_t i = 0; i < part.size(); ++i) sum += i % 2 == 0 ? std::uint32_t{part[i]} << 8 : part[i];
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// What a raw socket shall not hear of: all but echo replies.
void filter(int fd, bool ipv4) {
  if (ipv4) {
    icmp_filter only{};
    only.data = ~(1U << kReplyV4);
    (void)::setsockopt(fd, SOL_RAW, ICMP_FILTER, &only, sizeof only);
    return;
  }
  icmp6_filter only{};
  ICMP6_FILTER_SETBLOCKALL(&only);
  ICMP6_FILTER_SETPASS(kReplyV6, &only);
  (void)::setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &only, sizeof only);
}

union Address {
  sockaddr any;
  sockaddr_in ipv4;
  sockaddr_in6 ipv6;
};

socklen_t fill(Address& out, const IpAddress& address) {
  out = {};
  if (address.is_ipv4()) {
    out.ipv4.sin_family = AF_INET;
    std::memcpy(&out.ipv4.sin_addr, address.bytes.data(), sizeof out.ipv4.sin_addr);
    return sizeof out.ipv4;
  }
  out.ipv6.sin6_family = AF_INET6;
  std::memcpy(&out.ipv6.sin6_addr, address.bytes.data(), sizeof out.ipv6.sin6_addr);
  return sizeof out.ipv6;
}

// One message from the socket or its error queue.
struct Incoming {
  Address name{};
  alignas(cmsghdr) std::array<std::uint8_t, 512> control{};
  iovec piece{};
  msghdr message{};
  ByteView bytes;

  // False when there is none.
  bool read(int fd, MutableBytes buffer, int flags) {
    for (int tries = 0; tries < 3;
         ++tries) {  // an ICMP error is told by the next call, which then does nothing
      piece = {buffer.data(), buffer.size()};
      message = {};
      message.msg_name = &name;
      message.msg_namelen = sizeof name;
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const auto size = ::recvmsg(fd, &message, flags | MSG_DONTWAIT);
      if (size >= 0) {
        bytes = ByteView(buffer).first(static_cast<std::size_t>(size));
        return true;
      }
      if (errno == EAGAIN) return false;
    }
    return false;
  }

  const cmsghdr* find(int level, int type) {
    for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
      if (at->cmsg_level == level && at->cmsg_type == type) return at;
    }
    return nullptr;
  }
};

}  // namespace

PingSocket::PingSocket(boost::asio::posix::stream_descriptor descriptor, bool ipv4, bool raw)
    : descriptor_(std::move(descriptor)), ipv4_(ipv4), raw_(raw) {
  const auto id = random_array<2>();
  id_ = load_be<std::uint16_t>(id.data());
}

Result<PingSocket> PingSocket::open(const boost::asio::any_io_executor& executor, IpAddress::Family family) {
  const bool ipv4 = family == IpAddress::Family::kIpv4;
  const int domain = ipv4 ? AF_INET : AF_INET6;
  const int protocol = ipv4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  int fd = ::socket(domain, SOCK_DGRAM | kFlags, protocol);
  const bool raw = fd < 0;
  if (raw) fd = ::socket(domain, SOCK_RAW | kFlags, protocol);
  if (fd < 0) return make_error(ErrorKind::kIo, "no ping socket", errno);
  const int on = 1;
  (void)::setsockopt(fd, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof on);
  (void)::setsockopt(fd, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &on, sizeof on);
  if (raw) filter(fd, ipv4);
  return PingSocket(boost::asio::posix::stream_descriptor(executor, fd), ipv4, raw);
}

// type (1) || code (1) || checksum (2) || id (2) || sequence (2) || data. A ping socket's kernel sets
// checksum and id, ICMPv6's the checksum in any case.
int PingSocket::send(const IpAddress& target, std::uint8_t hop_limit, std::uint16_t sequence, ByteView data) {
  std::array<std::uint8_t, kEchoHeader> header{};
  header[0] = ipv4_ ? kRequestV4 : kRequestV6;
  store_be(id_, &header[4]);
  store_be(sequence, &header[6]);
  if (ipv4_) store_be(checksum(header, data), &header[2]);

  Address name;
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(int))> control{};
  std::array<iovec, 2> pieces{iovec{header.data(), header.size()},
                              iovec{const_cast<std::uint8_t*>(data.data()), data.size()}};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = fill(name, target);
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* hops = CMSG_FIRSTHDR(&message);
  hops->cmsg_level = ipv4_ ? SOL_IP : SOL_IPV6;
  hops->cmsg_type = ipv4_ ? IP_TTL : IPV6_HOPLIMIT;
  hops->cmsg_len = CMSG_LEN(sizeof(int));
  const int value = std::max<int>(hop_limit, 1);
  std::memcpy(CMSG_DATA(hops), &value, sizeof value);
  // An error of an earlier request is told by the next call, which then does nothing; it stays in the queue.
  for (int tries = 0;; ++tries) {
    if (::sendmsg(descriptor_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
    const bool of_another =
        errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH || errno == EINTR;
    if (!of_another || tries == 2) return errno;
  }
}

bool PingSocket::is_ours(ByteView icmp) const {
  return icmp.size() >= kEchoHeader && (!raw_ || load_be<std::uint16_t>(&icmp[4]) == id_);
}

std::optional<PingSocket::Answer> PingSocket::read_reply(MutableBytes buffer, bool& empty) {
  Incoming in;
  empty = !in.read(descriptor_.native_handle(), buffer, 0);
  if (empty) return std::nullopt;
  ByteView icmp = in.bytes;
  if (raw_ && ipv4_) {  // with its IP header
    const std::size_t header = icmp.empty() ? 0 : std::size_t{4} * (icmp[0] & 0x0f);
    icmp = icmp.subspan(std::min(header, icmp.size()));
  }
  const auto from = ip_address_of(&in.name.any);
  if (!from || !is_ours(icmp) || icmp[0] != (ipv4_ ? kReplyV4 : kReplyV6) || icmp[1] != 0)
    return std::nullopt;
  Answer out{.sequence = load_be<std::uint16_t>(&icmp[6]),
             .target = *from,
             .from = *from,
             .said = {icmp[0], 0},
             .data = icmp.subspan(kEchoHeader)};
  if (const auto* hops = in.find(ipv4_ ? SOL_IP : SOL_IPV6, ipv4_ ? IP_TTL : IPV6_HOPLIMIT)) {
    int value = 0;
    std::memcpy(&value, CMSG_DATA(hops), sizeof value);
    out.hop_limit = static_cast<std::uint8_t>(std::clamp(value, 0, 255));
  }
  return out;
}

// The error queue has the quoted request from its ICMP header on, the address that it went to as the name,
// and who complained behind the error.
std::optional<PingSocket::Answer> PingSocket::read_error(MutableBytes buffer, bool& empty) {
  Incoming in;
  empty = !in.read(descriptor_.native_handle(), buffer, MSG_ERRQUEUE);
  if (empty) return std::nullopt;
  const auto* found = in.find(ipv4_ ? SOL_IP : SOL_IPV6, ipv4_ ? IP_RECVERR : IPV6_RECVERR);
  const auto target = ip_address_of(&in.name.any);
  if (found == nullptr || !target || !is_ours(in.bytes)) return std::nullopt;
  if (in.bytes[0] != (ipv4_ ? kRequestV4 : kRequestV6)) return std::nullopt;
  struct {
    sock_extended_err error;
    Address offender;
  } said{};
  std::memcpy(&said, CMSG_DATA(found), std::min<std::size_t>(sizeof said, found->cmsg_len - CMSG_LEN(0)));
  const auto origin = ipv4_ ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
  const auto from = ip_address_of(&said.offender.any);
  if (said.error.ee_origin != origin || !from) return std::nullopt;
  return Answer{.sequence = load_be<std::uint16_t>(&in.bytes[6]),
                .target = *target,
                .from = *from,
                .said = {said.error.ee_type, said.error.ee_code},
                .data = {}};
}

void PingSocket::receive(MutableBytes buffer, const std::function<void(const Answer&)>& answered) {
  bool empty = false;
  for (int i = 0; i < kAnswersATurn && !empty; ++i) {
    if (const auto error = read_error(buffer, empty)) answered(*error);
  }
  empty = false;
  for (int i = 0; i < kAnswersATurn && !empty; ++i) {
    if (const auto reply = read_reply(buffer, empty)) answered(*reply);
  }
}

}  // namespace zks::exit
