// SPDX-License-Identifier: MIT
#include "relay/own_names.hpp"

#include <algorithm>

#include <openssl/x509v3.h>

#include "base/relay_url.hpp"

namespace zks::relay {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  return text;
}

bool in_certificate(X509* certificate, const std::string& host, bool is_address) {
  if (certificate == nullptr) return false;
  if (is_address) return X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
  return X509_check_host(certificate, host.data(), host.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                         nullptr) == 1;
}

}  // namespace

bool is_own_name(std::string_view authority, const std::vector<std::string>& configured,
                 const boost::asio::ip::address& local, X509* certificate) {
  const auto parsed = parse_host_port(authority, 443);
  if (!parsed) return false;
  const std::string host = lower(parsed->host);
  if (std::any_of(configured.begin(), configured.end(),
                  [&](const auto& name) { return lower(name) == host; })) {
    return true;
  }
  boost::system::error_code not_literal;
  const auto address = boost::asio::ip::make_address(host, not_literal);
  if (!not_literal && address == local) return true;
  if (host == "localhost" && local.is_loopback()) return true;
  return in_certificate(certificate, host, !not_literal);
}

}  // namespace zks::relay
