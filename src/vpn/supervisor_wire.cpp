// SPDX-License-Identifier: MIT
#include "vpn/supervisor_wire.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <sys/mman.h>
#include <sys/socket.h>

namespace zks::vpn {
namespace {

// Room for one descriptor in a control message (cmsg(3)).
union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

// All of them, as each that stays unread would be open for ever: the padding of Control has room for a
// second.
std::vector<Fd> take_descriptors(msghdr& message) {
  std::vector<Fd> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

Result<> send_message(int socket, const nlohmann::json& body, int fd) {
  std::string text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxMessageBytes) return make_error(ErrorKind::kLimit, "message too long");
  iovec piece{text.data(), text.size()};
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
  }
  if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
  const ErrorKind kind = errno == EAGAIN ? ErrorKind::kLimit : ErrorKind::kClosed;
  return make_error(kind, std::string("the other process: ") + std::strerror(errno));
}

Result<> send_file(int socket, const nlohmann::json& body, const std::string& text) {
  const Fd file(::memfd_create("text", MFD_CLOEXEC));
  std::string_view left = text;
  while (file && !left.empty()) {
    const ssize_t count = ::write(file.get(), left.data(), left.size());
    if (count <= 0)
      return make_error(ErrorKind::kIo, std::string("a file in memory: ") + std::strerror(errno));
    left.remove_prefix(static_cast<std::size_t>(count));
  }
  return send_message(socket, body, file.get());
}

Result<std::string> read_file(const Fd& file) {
  std::string out;
  std::array<char, 4096> piece;
  for (;;) {
    const ssize_t count = ::pread(file.get(), piece.data(), piece.size(), static_cast<off_t>(out.size()));
    if (count == 0) return out;
    if (count < 0)
      return make_error(ErrorKind::kIo, std::string("a file in memory: ") + std::strerror(errno));
    out.append(piece.data(), static_cast<std::size_t>(count));
  }
}

Result<std::optional<Message>> receive_message(int socket, Descriptors descriptors) {
  std::array<char, kMaxMessageBytes> text;
  iovec piece{text.data(), text.size()};
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (descriptors == Descriptors::kOne) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
  }
  const ssize_t size = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && errno == EAGAIN) return std::optional<Message>();
  if (size <= 0) return make_error(ErrorKind::kClosed, "the other process is gone");
  auto came = take_descriptors(message);
  Message out;
  if (!came.empty()) out.fd = std::move(came.front());
  auto body = read_body(std::string_view(text.data(), static_cast<std::size_t>(size)));
  const bool cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (!body || cut || came.size() > 1) {
    return make_error(ErrorKind::kProtocol, "not a message of the other process");
  }
  out.body = std::move(*body);
  return std::optional<Message>(std::move(out));
}

}  // namespace zks::vpn
