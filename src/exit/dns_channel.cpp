// SPDX-License-Identifier: MIT
#include "exit/dns_channel.hpp"

#include <chrono>
#include <mutex>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/socket.h>
#include <sys/time.h>

namespace zks::exit {
namespace {

using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

void initialise_library() {
  static std::once_flag once;
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
}

int mark_socket(ares_socket_t fd, int, void* mark) {
  return ::setsockopt(fd, SOL_SOCKET, SO_MARK, mark, sizeof(std::uint32_t));
}

}  // namespace

// A socket of c-ares' while c-ares wants to hear of it.
struct DnsChannel::Watch {
  Watch(DnsChannel& c, int fd) : channel(c), descriptor(c.executor_, fd) {}

  DnsChannel& channel;
  stream_descriptor descriptor;
  bool readable = false;
  bool writable = false;
  bool waiting_readable = false;
  bool waiting_writable = false;
};

DnsChannel::DnsChannel(boost::asio::any_io_executor executor, const LookupOptions& options)
    : executor_(executor), options_(options), timer_(std::make_shared<boost::asio::steady_timer>(executor)) {}

DnsChannel::~DnsChannel() {
  if (channel_ != nullptr) ares_destroy(channel_);  // takes every watch away through on_socket()
}

Result<> DnsChannel::open() {
  initialise_library();
  ares_options options{};
  options.timeout = options_.attempt_timeout_ms;
  options.tries = options_.attempts;
  options.ndomains = 0;  // names are absolute: the exit's own search domains are not the user's business
  options.lookups = const_cast<char*>("b");  // copied by c-ares; files are lookup.cpp's
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<DnsChannel*>(self)->on_socket(fd, readable != 0, writable != 0);
  };
  const int mask =
      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
  if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return make_error(ErrorKind::kLimit, std::string("c-ares: ") + ares_strerror(status));
  }
  if (options_.mark != 0) ares_set_socket_configure_callback(channel_, &mark_socket, &options_.mark);
  if (!options_.servers.empty() &&
      ares_set_servers_ports_csv(channel_, options_.servers.c_str()) != ARES_SUCCESS) {
    return make_error(ErrorKind::kUsage, "not a DNS server's address: " + options_.servers);
  }
  return {};
}

void DnsChannel::on_socket(int fd, bool readable, bool writable) {
  if (!readable && !writable) {
    const auto over = watches_.find(fd);
    if (over == watches_.end()) return;
    // c-ares closes the descriptor next, and its number may be another socket's before a handler that still
    // holds this watch is through: it has to leave the reactor here.
    over->second->descriptor.release();
    watches_.erase(over);
    return;
  }
  auto& watch = watches_[fd];
  if (!watch) watch = std::make_shared<Watch>(*this, fd);
  watch->readable = readable;
  watch->writable = writable;
  if (readable && !watch->waiting_readable) wait(watch, false);
  if (writable && !watch->waiting_writable) wait(watch, true);
}

void DnsChannel::wait(const std::shared_ptr<Watch>& watch, bool for_writing) {
  bool Watch::*const waiting = for_writing ? &Watch::waiting_writable : &Watch::waiting_readable;
  (*watch).*waiting = true;
  watch->descriptor.async_wait(for_writing ? stream_descriptor::wait_write : stream_descriptor::wait_read,
                               [weak = std::weak_ptr(watch), waiting, for_writing](const error_code& ec) {
                                 const auto self = weak.lock();
                                 if (!self || ec) return;
                                 (*self).*waiting = false;
                                 DnsChannel& channel = self->channel;
                                 const int fd = self->descriptor.native_handle();
                                 channel.process(for_writing ? ARES_SOCKET_BAD : fd,
                                                 for_writing ? fd : ARES_SOCKET_BAD);
                                 const auto still = channel.watches_.find(fd);
                                 if (still == channel.watches_.end() || still->second != self) return;
                                 const bool wanted = for_writing ? self->writable : self->readable;
                                 if (wanted && !((*self).*waiting)) channel.wait(self, for_writing);
                               });
}

void DnsChannel::process(int read_fd, int write_fd) {
  ares_process_fd(channel_, read_fd, write_fd);
  arm_timer();
}

void DnsChannel::arm_timer() {
  timeval space{};
  const timeval* next = ares_timeout(channel_, nullptr, &space);
  if (next == nullptr) {
    timer_->cancel();
    return;
  }
  timer_->expires_after(std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec));
  timer_->async_wait([this, weak = std::weak_ptr(timer_)](const error_code& ec) {
    if (!ec && weak.lock()) process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  });
}

}  // namespace zks::exit
