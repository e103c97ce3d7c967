// SPDX-License-Identifier: MIT
#include "exit/lookup.hpp"

#include <chrono>
#include <mutex>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace zks::exit {
namespace {

using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

// One name's answer is at most 64 KiB of DNS; happy eyeballs never tries more than a few of its addresses.
constexpr std::size_t kMaxAddresses = 64;

void initialise_library() {
  static std::once_flag once;
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
}

}  // namespace

// A socket of c-ares' while c-ares wants to hear of it.
struct Lookup::Watch {
  Watch(Lookup& l, int fd) : lookup(l), descriptor(l.executor_, fd) {}

  Lookup& lookup;
  stream_descriptor descriptor;
  bool readable = false;
  bool writable = false;
  bool waiting_readable = false;
  bool waiting_writable = false;
};

namespace {

struct Query {
  IpAddress::Family family;
  Lookup::Answer& answer;
  carrier::Signal& changed;
};

void on_answer(void* argument, int status, int, ares_addrinfo* result) {
  const std::unique_ptr<Query> query(static_cast<Query*>(argument));
  const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(result, &ares_freeaddrinfo);
  if (status == ARES_EDESTRUCTION) return;  // ~Lookup: nobody waits any more
  query->answer.done = true;
  query->answer.status = status;
  for (const ares_addrinfo_node* node = result ? result->nodes : nullptr; node; node = node->ai_next) {
    const auto address = ip_address_of(node->ai_addr);
    if (address && address->family == query->family && query->answer.addresses.size() < kMaxAddresses)
      query->answer.addresses.push_back(*address);
  }
  query->changed.notify();
}

}  // namespace

Lookup::Lookup(boost::asio::any_io_executor executor, const LookupOptions& options)
    : executor_(executor),
      options_(options),
      timer_(std::make_shared<boost::asio::steady_timer>(executor)),
      changed_(executor) {}

Lookup::~Lookup() {
  if (channel_ != nullptr) ares_destroy(channel_);  // takes every watch away through on_socket()
}

Result<> Lookup::start(const std::string& name) {
  initialise_library();
  ares_options options{};
  options.timeout = options_.attempt_timeout_ms;
  options.tries = options_.attempts;
  options.ndomains = 0;  // names are absolute: the exit's own search domains are not the user's business
  options.lookups = const_cast<char*>("b");  // copied by c-ares; files are read below
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<Lookup*>(self)->on_socket(fd, readable != 0, writable != 0);
  };
  const int mask =
      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
  if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return make_error(ErrorKind::kLimit, std::string("c-ares: ") + ares_strerror(status));
  }
  if (!options_.servers.empty() &&
      ares_set_servers_ports_csv(channel_, options_.servers.c_str()) != ARES_SUCCESS) {
    return make_error(ErrorKind::kUsage, "not a DNS server's address: " + options_.servers);
  }
  if (find_in_hosts_file(name)) return {};
  // AAAA first (RFC 8305, section 3).
  ask(name, AF_INET6, ipv6_);
  ask(name, AF_INET, ipv4_);
  arm_timer();
  return {};
}

bool Lookup::find_in_hosts_file(const std::string& name) {
  for (const int family : {AF_INET6, AF_INET}) {
    hostent* host = nullptr;
    const int status = ares_gethostbyname_file(channel_, name.c_str(), family, &host);
    Answer& answer = family == AF_INET ? ipv4_ : ipv6_;
    answer.status = status;
    if (status != ARES_SUCCESS) continue;
    for (char** entry = host->h_addr_list; *entry != nullptr; ++entry) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(*entry);
      answer.addresses.push_back(family == AF_INET ? make_ipv4(bytes) : make_ipv6(bytes));
    }
    ares_free_hostent(host);
  }
  const bool found = !ipv4_.addresses.empty() || !ipv6_.addresses.empty();
  ipv4_.done = ipv6_.done = found;
  return found;
}

void Lookup::ask(const std::string& name, int family, Answer& answer) {
  ares_addrinfo_hints hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NOSORT;  // resolver.cpp orders both families together
  const auto wanted = family == AF_INET ? IpAddress::Family::kIpv4 : IpAddress::Family::kIpv6;
  auto* query = new Query{wanted, answer, changed_};  // on_answer() is called once, and deletes it
  ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, &on_answer, query);
}

void Lookup::on_socket(int fd, bool readable, bool writable) {
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

void Lookup::wait(const std::shared_ptr<Watch>& watch, bool for_writing) {
  bool Watch::*const waiting = for_writing ? &Watch::waiting_writable : &Watch::waiting_readable;
  (*watch).*waiting = true;
  watch->descriptor.async_wait(for_writing ? stream_descriptor::wait_write : stream_descriptor::wait_read,
                               [weak = std::weak_ptr(watch), waiting, for_writing](const error_code& ec) {
                                 const auto self = weak.lock();
                                 if (!self || ec) return;
                                 (*self).*waiting = false;
                                 Lookup& lookup = self->lookup;
                                 const int fd = self->descriptor.native_handle();
                                 lookup.process(for_writing ? ARES_SOCKET_BAD : fd,
                                                for_writing ? fd : ARES_SOCKET_BAD);
                                 const auto still = lookup.watches_.find(fd);
                                 if (still == lookup.watches_.end() || still->second != self) return;
                                 const bool wanted = for_writing ? self->writable : self->readable;
                                 if (wanted && !((*self).*waiting)) lookup.wait(self, for_writing);
                               });
}

void Lookup::process(int read_fd, int write_fd) {
  ares_process_fd(channel_, read_fd, write_fd);
  arm_timer();
}

void Lookup::arm_timer() {
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
