// SPDX-License-Identifier: MIT
#include "vpn/tun_device.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

namespace zks::vpn {
namespace {

// Since Linux 6.2; Debian 12's headers are older than that.
constexpr unsigned kUso4 = 0x20;
constexpr unsigned kUso6 = 0x40;

constexpr std::chrono::seconds kDevicePatience{3};
constexpr std::chrono::milliseconds kDevicePause{50};

Error tun_error(const std::string& what, int number) {
  const std::string text = what + ": " + std::strerror(number);
  switch (number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return make_error(ErrorKind::kUsage,
                        text +
                            "; load the kernel's module: modprobe tun; a container gets it by --device "
                            "/dev/net/tun",
                        number);
    case EPERM:
    case EACCES:
      return make_error(ErrorKind::kUsage,
                        text +
                            "; run this as root; a container takes --device /dev/net/tun and --cap-add "
                            "NET_ADMIN",
                        number);
    case EBUSY:
      return make_error(
          ErrorKind::kUsage,
          what +
              " is there already; choose another name with --tun, or, if nobody needs it, remove "
              "it (ip link delete)",
          number);
    default:
      return make_error(ErrorKind::kIo, text, number);
  }
}

}  // namespace

Result<TunDevice> open_tun(const std::string& name, bool offloads) {
  if (name.empty() || name.size() >= IFNAMSIZ || name.find('/') != std::string::npos) {
    return make_error(ErrorKind::kUsage, "not a name for a network device: " + name);
  }
  Fd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return tun_error("/dev/net/tun", errno);
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  // Never one that somebody else has made, of whatever kind.
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return tun_error("the network device " + name, errno);
  TunDevice out{std::move(fd), request.ifr_name};
  int header_bytes = 10;
  if (::ioctl(out.fd.get(), TUNSETVNETHDRSZ, &header_bytes) != 0) return tun_error(out.name, errno);
  // The most first; what the kernel does not know, it refuses as a whole.
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  out.datagrams = offloads && ::ioctl(out.fd.get(), TUNSETOFFLOAD, kTcp | kUso4 | kUso6) == 0;
  out.segments = offloads && (out.datagrams || ::ioctl(out.fd.get(), TUNSETOFFLOAD, kTcp) == 0);
  if (!out.segments && ::ioctl(out.fd.get(), TUNSETOFFLOAD, 0) != 0) return tun_error(out.name, errno);
  return out;
}

Result<TunDevice> open_free_tun(const std::string& name, bool offloads) {
  const auto deadline = std::chrono::steady_clock::now() + kDevicePatience;
  for (;;) {
    auto tun = open_tun(name, offloads);
    if (tun || tun.error().detail != EBUSY || std::chrono::steady_clock::now() > deadline) return tun;
    std::this_thread::sleep_for(kDevicePause);
  }
}

}  // namespace zks::vpn
