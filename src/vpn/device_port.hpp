// SPDX-License-Identifier: MIT
//
// A TUN device on an executor. Frames are what one read or write moves: the virtio-net header and a packet.
// Writing does not wait: what a device has no room for is lost, as on any link.
//
// Executor: the one given. Lifetime: the owner's; nothing is called after destruction.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/bytes.hpp"
#include "base/fd.hpp"

namespace zks::vpn {

class DevicePort {
 public:
  using Handler = std::function<void(MutableBytes frame)>;  // valid during the call

  DevicePort(const boost::asio::any_io_executor& executor, Fd device, Handler handler);
  void start();
  bool write(ByteView frame);
  std::uint64_t lost() const { return lost_; }

 private:
  void wait();
  void read_some();

  boost::asio::posix::stream_descriptor device_;
  Handler handler_;
  Bytes buffer_;
  std::uint64_t lost_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace zks::vpn
