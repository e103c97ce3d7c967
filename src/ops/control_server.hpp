// SPDX-License-Identifier: MIT
//
// The control socket's server: one line of JSON in, one line out, and the connection is over. Only processes
// of this user, or of root, are answered: the file's mode says so, and the kernel's word on who connected is
// looked at as well, since a directory may be on a file system that has no modes.
//
// Bounds: 16 connections, more are closed at once; 4 KiB a request; 5 s for it and for taking the answer.
//
// Executor: the one given. Lifetime: shared; its coroutines hold it until stop().
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "net/counted.hpp"
#include "ops/socket_file.hpp"
#include "ops/spare_descriptors.hpp"

namespace zks::ops {

class ControlServer : public std::enable_shared_from_this<ControlServer> {
 public:
  static constexpr std::size_t kMaxConnections = 16;
  static constexpr std::chrono::seconds kTimeLimit{5};

  // `status` makes the answer to a request for it: one line, JSON, without secrets and destinations.
  using Status = std::function<std::string()>;

  static std::shared_ptr<ControlServer> start(const boost::asio::any_io_executor& executor, SocketFile file,
                                              Status status);
  ControlServer(const boost::asio::any_io_executor& executor, SocketFile file, Status status);

  const std::filesystem::path& path() const { return file_.path(); }
  void stop();

 private:
  using Socket = boost::asio::local::stream_protocol::socket;

  static boost::asio::awaitable<void> accept_loop(std::shared_ptr<ControlServer> self);
  static boost::asio::awaitable<void> serve(std::shared_ptr<ControlServer> self,
                                            std::shared_ptr<Socket> socket, net::Counted connection);
  std::string answer(std::string_view line) const;

  SocketFile file_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  SpareDescriptors spare_{1};
  Status status_;
  std::size_t connections_ = 0;
};

// Whether a process of user `peer` may ask one of user `self`.
bool may_ask(unsigned peer, unsigned self);

// Asks the program that serves `path` for its status: its answer, one line. kClosed when none does; kTimeout;
// kIo; kProtocol when it says an error.
Result<std::string> ask_status(const std::filesystem::path& path);

}  // namespace zks::ops
