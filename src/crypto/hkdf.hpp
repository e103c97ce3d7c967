// SPDX-License-Identifier: MIT
//
// HKDF-SHA256 (RFC 5869), the one key derivation of this folder. Noise's own HKDF (revision 34, section 4.3)
// is the same function with an empty info, so the handshake (symmetric_state) and the records (record_keys)
// share it.
#pragma once

#include "base/bytes.hpp"

namespace zks::crypto {

// Fills `out`, at most 255 * 32 bytes (RFC 5869, section 2.3), from extract(salt, input_key_material) and
// `info`.
void hkdf_sha256(ByteView salt, ByteView input_key_material, ByteView info, MutableBytes out);

}  // namespace zks::crypto
