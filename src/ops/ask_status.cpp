// SPDX-License-Identifier: MIT
//
// The asking end of the control socket, for `zks-tunnel-client status`. Blocking, with a limit on time and
// size: the program at the other end is the user's own, and may hang all the same.
#include <cerrno>
#include <system_error>

#include <poll.h>
#include <sys/socket.h>

#include "ops/control_server.hpp"

namespace zks::ops {
namespace {

constexpr std::size_t kMaxAnswerBytes = 8 * 1024 * 1024;
constexpr std::chrono::seconds kAnswerWithin{5};

Error failure(const std::filesystem::path& path, int error) {
  return make_error(ErrorKind::kIo, path.string() + ": " + std::generic_category().message(error));
}

}  // namespace

Result<std::string> ask_status(const std::filesystem::path& path) {
  const auto fd = connect_socket(path);
  if (!fd) return fd.error();
  constexpr std::string_view kRequest = "{\"request\":\"status\"}\n";
  if (::send(fd->get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) return failure(path, errno);
  const auto deadline = std::chrono::steady_clock::now() + kAnswerWithin;
  std::string answer;
  while (!answer.ends_with('\n')) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd wait{fd->get(), POLLIN, 0};
    const int ready = left.count() > 0 ? ::poll(&wait, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return failure(path, errno);
    if (ready == 0) {
      return make_error(ErrorKind::kTimeout,
                        path.string() + ": the program there does not answer; is it stopped?");
    }
    char piece[16 * 1024];
    const auto count = ::recv(fd->get(), piece, sizeof piece, 0);
    if (count < 0) return failure(path, errno);
    if (count == 0) {
      return make_error(ErrorKind::kProtocol,
                        path.string() + ": the program there did not answer; is it another user's?");
    }
    answer.append(piece, static_cast<std::size_t>(count));
    if (answer.size() > kMaxAnswerBytes)
      return make_error(ErrorKind::kLimit, path.string() + ": its answer is too long");
  }
  answer.pop_back();
  return answer;
}

}  // namespace zks::ops
