// SPDX-License-Identifier: MIT
//
// What a resolv.conf says beside its servers. It is the machine's own way to look names up, which a tunnel
// has no reason to change.
#pragma once

#include <string>
#include <string_view>

namespace zks::host {

inline constexpr std::size_t kMaxResolverSettings = 4096;

// The lines `search`, `domain`, `options` and `sortlist`, each with its newline, as far as they have room in
// kMaxResolverSettings. `trust-ad` is left out: it says that the machine's own servers and the way to them
// are trusted to have checked signatures, and the exit's are others. The settings of such settings are the
// same.
std::string resolver_settings(std::string_view resolv_conf);

}  // namespace zks::host
