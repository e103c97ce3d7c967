// SPDX-License-Identifier: MIT
#include "exit/lookup.hpp"

#include <netdb.h>
#include <sys/socket.h>

namespace zks::exit {
namespace {

// One name's answer is at most 64 KiB of DNS; happy eyeballs never tries more than a few of its addresses.
constexpr std::size_t kMaxAddresses = 64;

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
    : changed_(executor), channel_(executor, options) {}

Result<> Lookup::start(const std::string& name) {
  const auto opened = channel_.open();
  if (!opened) return opened;
  if (find_in_hosts_file(name)) return {};
  // AAAA first (RFC 8305, section 3).
  ask(name, AF_INET6, ipv6_);
  ask(name, AF_INET, ipv4_);
  channel_.arm_timer();
  return {};
}

bool Lookup::find_in_hosts_file(const std::string& name) {
  for (const int family : {AF_INET6, AF_INET}) {
    hostent* host = nullptr;
    const int status = ares_gethostbyname_file(channel_.get(), name.c_str(), family, &host);
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
  ares_getaddrinfo(channel_.get(), name.c_str(), nullptr, &hints, &on_answer, query);
}

}  // namespace zks::exit
