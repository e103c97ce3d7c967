// SPDX-License-Identifier: MIT
//
// getaddrinfo(3) on a thread that nobody waits for. It can't be cancelled and takes 10 s and more while name
// servers are silent; a dial that is given up, and a program that ends, do not wait for it.
//
// Executor: the caller's. Bound: kMaxLookups at once in this process.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "net/task.hpp"

namespace zks::net {

inline constexpr int kMaxLookups = 32;

// Of at least one address, in getaddrinfo's order (RFC 6724). kNetwork: there are none; kTimeout: no answer
// by `deadline`; kLimit: too many are under way, or no thread can be had.
Task<std::vector<asio::ip::tcp::endpoint>> look_up_name(std::string host, std::uint16_t port,
                                                        std::chrono::steady_clock::time_point deadline);

}  // namespace zks::net
