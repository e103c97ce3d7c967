// SPDX-License-Identifier: MIT
//
// Pings by exit/echo_host.hpp, for tests/e2e/test_exit_pings.py: each pair of arguments is an address and a
// hop limit. A line for each says who answered with which type and code and how many bytes, or the errno, or
// "nothing" after 5 s.
#include <cstring>
#include <iostream>
#include <string>

#include <boost/asio/io_context.hpp>

#include "exit/echo_host.hpp"

int main(int count, char** words) {
  using namespace zks;
  boost::asio::io_context context;
  const auto echo = std::make_shared<exit::EchoHost>(context.get_executor());
  echo->start();
  for (int i = 1; i + 1 < count; i += 2) {
    const IpAddress target = parse_ip_address(words[i]).value();
    bool answered = false;
    const auto print = [&](const exit::PingSocket::Answer& answer) {
      answered = true;
      std::cout << answer.from.text() << ' ' << int{answer.said.type} << ' ' << int{answer.said.code} << ' '
                << answer.data.size() << std::endl;
    };
    const Bytes data(56, 'p');
    const int failure =
        echo->ping(target, static_cast<std::uint8_t>(std::stoi(words[i + 1])), data, {}, print);
    if (failure != 0) {
      std::cout << std::strerror(failure) << std::endl;
      continue;
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!answered && std::chrono::steady_clock::now() < end) {
      context.run_one_for(std::chrono::milliseconds(100));
    }
    if (!answered) std::cout << "nothing" << std::endl;
  }
}
