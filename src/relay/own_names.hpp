// SPDX-License-Identifier: MIT
//
// Which hosts this relay answers to. An exit's registration signs the name that it dialled; were any name
// accepted here, a relay could pass on another relay's challenge, have it signed under its own name, and
// register the room over there. So the name must be ours: given by --name, in the certificate, or the address
// the socket came in on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/address.hpp>
#include <openssl/x509.h>

namespace zks::relay {

// `authority` is the Host header; its port does not count, since forwarding may change it. `certificate` is
// null without TLS.
bool is_own_name(std::string_view authority, const std::vector<std::string>& configured,
                 const boost::asio::ip::address& local, X509* certificate);

}  // namespace zks::relay
