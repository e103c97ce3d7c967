// SPDX-License-Identifier: MIT
#include "link/tun.hpp"

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace zks::bench {
namespace {

constexpr int kMtu = 1500;
// Packets that the device keeps until they are read. Queueing is the emulator's own matter: this one must
// never fill, and 4,096 is 49 ms of full packets at 1 Gbit/s.
constexpr int kTxQueueLength = 4096;

ifreq request_for(const std::string& device) {
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

int checked(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

void set_sizes(const std::string& device) {
  const Fd any(checked(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  ifreq request = request_for(device);
  request.ifr_mtu = kMtu;
  checked(::ioctl(any.get(), SIOCSIFMTU, &request), "set the MTU of " + device);
  request = request_for(device);
  request.ifr_qlen = kTxQueueLength;
  checked(::ioctl(any.get(), SIOCSIFTXQLEN, &request), "set the queue of " + device);
}

}  // namespace

Tun::Tun(const TunName& name) {
  if (name.device.empty() || name.device.size() >= IFNAMSIZ)
    throw std::invalid_argument("a device name has 1 to 15 characters");
  const std::string where =
      name.network_namespace.empty() ? "/proc/self/ns/net" : "/run/netns/" + name.network_namespace;
  const Fd before(checked(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "open the network namespace"));
  const Fd there(checked(::open(where.c_str(), O_RDONLY | O_CLOEXEC), "open " + where));
  checked(::setns(there.get(), CLONE_NEWNET), "enter " + where);
  fd_ = Fd(checked(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "open /dev/net/tun"));
  ifreq request = request_for(name.device);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  checked(::ioctl(fd(), TUNSETIFF, &request), "make the TUN device " + name.device);
  set_sizes(name.device);
  checked(::setns(before.get(), CLONE_NEWNET), "leave " + where);
}

std::optional<Packet> Tun::read() {
  std::array<std::uint8_t, kMtu> buffer;
  const ssize_t size = ::read(fd(), buffer.data(), buffer.size());
  if (size >= 0) return Packet(buffer.begin(), buffer.begin() + size);
  if (errno == EAGAIN || errno == EINTR) return std::nullopt;
  throw std::system_error(errno, std::generic_category(), "read a TUN device");
}

bool Tun::write(const Packet& packet) {
  return ::write(fd(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
}

}  // namespace zks::bench
