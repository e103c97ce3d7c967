// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "relay/source.hpp"

namespace zks::test {

inline relay::Source source_of(const std::string& address) {
  return relay::Source(boost::asio::ip::make_address(address));
}

}  // namespace zks::test
