// SPDX-License-Identifier: MIT
#include "net/name_lookup.hpp"

#include <atomic>
#include <cstring>
#include <memory>
#include <system_error>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netdb.h>
#include <sys/eventfd.h>

#include "base/background_thread.hpp"
#include "base/fd.hpp"

namespace zks::net {
namespace {

using asio::ip::tcp;

std::atomic<int> under_way = 0;

// One lookup under way, as long as its thread has it.
struct Place {
  Place() { ++under_way; }
  ~Place() { --under_way; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
};

// The thread's and the coroutine's: the one writes it, sets `answered` and counts `done` up; the other reads
// it after that. `answered` is what makes it safe: a descriptor that becomes readable orders nothing in C++'s
// memory model.
struct Question {
  std::string host;
  std::string service;
  Fd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<bool> answered = false;
  int status = 0;
  std::vector<tcp::endpoint> found;
};

void take(Question& question, const addrinfo* list) {
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    tcp::endpoint endpoint;
    if (at->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), at->ai_addr, at->ai_addrlen);
    endpoint.resize(at->ai_addrlen);
    question.found.push_back(endpoint);
  }
}

void answer(Question& question) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  question.status = ::getaddrinfo(question.host.c_str(), question.service.c_str(), &hints, &list);
  if (question.status == 0) {
    take(question, list);
    ::freeaddrinfo(list);
  }
  question.answered.store(true, std::memory_order_release);
  (void)::eventfd_write(question.done.get(), 1);
}

bool begin(const std::shared_ptr<Question>& question) {
  if (!question->done) return false;
  const auto place = std::make_shared<Place>();
  if (under_way > kMaxLookups) return false;
  try {
    run_in_background([question, place] { answer(*question); });
    return true;
  } catch (const std::system_error&) {
    return false;  // as when there are too many: whoever dials tries again
  }
}

}  // namespace

Task<std::vector<tcp::endpoint>> look_up_name(std::string host, std::uint16_t port,
                                              std::chrono::steady_clock::time_point deadline) {
  const auto executor = co_await asio::this_coro::executor;
  const auto question = std::make_shared<Question>();
  question->host = host;
  question->service = std::to_string(port);
  if (!begin(question)) co_return make_error(ErrorKind::kLimit, "too many lookups are under way");
  const auto done = std::make_shared<asio::posix::stream_descriptor>(executor, ::dup(question->done.get()));
  asio::steady_timer patience(executor, deadline);
  patience.async_wait([weak = std::weak_ptr(done)](const boost::system::error_code& ec) {
    const auto late = weak.lock();
    if (!ec && late) late->cancel();
  });
  const auto [ec] = co_await done->async_wait(asio::posix::stream_descriptor::wait_read,
                                              asio::as_tuple(asio::use_awaitable));
  if (ec || !question->answered.load(std::memory_order_acquire)) {
    co_return make_error(ErrorKind::kTimeout, "looking up " + host + " took too long");
  }
  if (question->found.empty()) {
    const std::string why = question->status == 0 ? "it has no address" : ::gai_strerror(question->status);
    co_return make_error(ErrorKind::kNetwork, "can't look up " + host + ": " + why);
  }
  co_return std::move(question->found);
}

}  // namespace zks::net
