// SPDX-License-Identifier: MIT
//
// What vpn's root process reads of the processes that hear the network: a message of the worker's and of the
// name process's, whichever it is.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vpn/requests.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto body = zks::vpn::read_body(text);
  if (!body) return 0;
  if (const auto message = zks::vpn::read_worker_message(*body)) {
    const auto* up = std::get_if<zks::vpn::UpNotice>(&*message);
    if (up != nullptr && up->lines.size() > zks::vpn::kMaxReadyLines) std::abort();
    for (std::size_t i = 0; up != nullptr && i < up->lines.size(); ++i) {
      for (const char c : up->lines[i]) {
        if (static_cast<unsigned char>(c) < 0x20) std::abort();  // one line each in the ready file
      }
    }
  }
  if (const auto message = zks::vpn::read_name_message(*body)) {
    const auto* answer = std::get_if<zks::vpn::NameAnswer>(&*message);
    if (answer != nullptr && answer->addresses.size() > zks::vpn::kMaxAnswerAddresses) std::abort();
  }
  return 0;
}
