// SPDX-License-Identifier: MIT
#include "vpn/device_port.hpp"

#include <cerrno>

#include <boost/asio/post.hpp>
#include <unistd.h>

#include "base/log.hpp"
#include "vpn/tun_device.hpp"

namespace zks::vpn {

using boost::asio::posix::stream_descriptor;

constexpr int kFramesInTurn = 64;  // then others on this executor have theirs

DevicePort::DevicePort(const boost::asio::any_io_executor& executor, Fd device, Handler handler)
    : device_(executor, device.release()), handler_(std::move(handler)), buffer_(kMaxFrameBytes) {}

void DevicePort::start() {
  wait();
}

void DevicePort::wait() {
  device_.async_wait(stream_descriptor::wait_read,
                     [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& ec) {
                       if (!ec && alive.lock()) read_some();
                     });
}

void DevicePort::read_some() {
  const auto alive = std::weak_ptr(alive_);
  for (int i = 0; i < kFramesInTurn; ++i) {
    const ssize_t size = ::read(device_.native_handle(), buffer_.data(), buffer_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN) {
      log::error("the TUN device is gone: {}", std::strerror(errno));
      return;
    }
    if (size < 0) return wait();
    handler_(MutableBytes(buffer_).first(static_cast<std::size_t>(size)));
    if (alive.expired()) return;
  }
  boost::asio::post(device_.get_executor(), [this, alive] {
    if (alive.lock()) read_some();
  });
}

bool DevicePort::write(ByteView frame) {
  const bool taken = ::write(device_.native_handle(), frame.data(), frame.size()) >= 0;
  if (!taken) ++lost_;
  return taken;
}

}  // namespace zks::vpn
