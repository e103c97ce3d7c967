// SPDX-License-Identifier: MIT
#include "relay/source.hpp"

#include <algorithm>

namespace zks::relay {

Source::Source(const boost::asio::ip::address& address) {
  namespace ip = boost::asio::ip;
  if (address.is_v4()) {
    bytes = ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes();
    return;
  }
  const ip::address_v6 v6 = address.to_v6();
  const auto whole = v6.to_bytes();
  std::copy_n(whole.begin(), v6.is_v4_mapped() ? 16 : 8, bytes.begin());
}

}  // namespace zks::relay
