// SPDX-License-Identifier: MIT
#include "relay/client_address.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace zks::relay {
namespace {

namespace ip = boost::asio::ip;

ip::address_v6::bytes_type v6_bytes(const ip::address& address) {
  if (address.is_v4()) return ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes();
  return address.to_v6().to_bytes();
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Proxies write 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80.
std::optional<ip::address> parse_entry(std::string_view entry) {
  entry = trim(entry);
  if (entry.starts_with('[')) {
    entry = entry.substr(1, entry.find(']') - 1);
  } else if (std::count(entry.begin(), entry.end(), ':') == 1) {
    entry = entry.substr(0, entry.find(':'));
  }
  boost::system::error_code ec;
  const ip::address address = ip::make_address(std::string(entry), ec);
  if (ec) return std::nullopt;
  return address;
}

std::vector<std::string_view> entries_of(const std::vector<std::string_view>& forwarded) {
  std::vector<std::string_view> out;
  for (std::string_view field : forwarded) {
    while (true) {
      const std::size_t comma = field.find(',');
      out.push_back(field.substr(0, comma));
      if (comma == std::string_view::npos) break;
      field.remove_prefix(comma + 1);
    }
  }
  return out;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  const auto bad = [text] {
    return make_error(ErrorKind::kUsage,
                      "'" + std::string(text) + "' is not an address block such as 10.0.0.0/8");
  };
  const std::size_t slash = text.find('/');
  boost::system::error_code ec;
  const ip::address address = ip::make_address(std::string(text.substr(0, slash)), ec);
  if (ec) return bad();
  const int bits = address.is_v4() ? 32 : 128;
  int length = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (failure != std::errc() || end != digits.data() + digits.size() || length < 0 || length > bits)
      return bad();
  }
  Network out;
  out.prefix_ = v6_bytes(address);
  out.length_ = length + 128 - bits;
  return out;
}

bool Network::contains(const ip::address& address) const {
  const auto bytes = v6_bytes(address);
  const auto whole = static_cast<std::size_t>(length_ / 8);
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole), prefix_.begin()))
    return false;
  const int rest = length_ % 8;
  return rest == 0 || ((bytes[whole] ^ prefix_[whole]) >> (8 - rest)) == 0;
}

bool is_trusted(const ip::address& address, const std::vector<Network>& trusted) {
  return std::any_of(trusted.begin(), trusted.end(),
                     [&address](const Network& net) { return net.contains(address); });
}

ip::address client_address(const ip::address& peer, const std::vector<Network>& trusted,
                           const std::vector<std::string_view>& forwarded) {
  ip::address client = peer;
  const auto entries = entries_of(forwarded);
  for (auto entry = entries.rbegin(); entry != entries.rend() && is_trusted(client, trusted); ++entry) {
    const auto address = parse_entry(*entry);
    if (!address) break;
    client = *address;
  }
  return client;
}

}  // namespace zks::relay
