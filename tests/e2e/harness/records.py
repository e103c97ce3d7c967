# SPDX-License-Identifier: MIT
"""The record cipher of PROTOCOL.md from its formula, and the search for the keys of a recorded lane in its ends'
memory: a key is one when it opens the records.

    (c, tag')  = ChaCha20-Poly1305(Key_local[dir], nonce = 0x00000000 || LE64(n), aad = the epoch byte, frames)
    body || tag = (c || tag') xor AES-256-CTR(Key_remote[dir, epoch], iv = BE64(n) || BE64(0))
"""
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def take_off_remote(key_remote, n, record):
    """The inner ciphertext: `record` without its epoch byte and without the outer cipher."""
    cipher = Cipher(algorithms.AES(key_remote), modes.CTR(struct.pack(">QQ", n, 0))).encryptor()
    return cipher.update(record[1:])


def take_off_local(key_local, n, record, inner):
    """The frames, or InvalidTag."""
    return ChaCha20Poly1305(key_local).decrypt(bytes(4) + struct.pack("<Q", n), inner, record[:1])


def open_all(keys, records):
    key_local, key_remote = keys
    return b"".join(take_off_local(key_local, n, record, take_off_remote(key_remote, n, record))
                    for n, record in enumerate(records))


def find_keys(candidates, first_record):
    """(Key_local, Key_remote) among `candidates` that open record 0, or None."""
    for key_remote in candidates:
        inner = take_off_remote(key_remote, 0, first_record)
        for key_local in candidates:
            try:
                take_off_local(key_local, 0, first_record, inner)
                return key_local, key_remote
            except InvalidTag:
                continue
    return None
