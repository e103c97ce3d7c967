# SPDX-License-Identifier: MIT
"""Noise_IKpsk2_25519_ChaChaPoly_SHA256 by python3-dissononce, and the keys of records as PROTOCOL.md derives them from
what the handshake leaves: an implementation that shares no code with the programs under test."""
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.x25519.public import PublicKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.hash.sha256 import SHA256Hash
from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier

PATTERN = PSKPatternModifier(2).modify(IKHandshakePattern())
RATCHET_RECORDS = 65_536


class Dissononce:
    """The other end of a handshake. What it has read and written so far, and the transport after it."""

    def __init__(self, initiator, prologue, psk, remote=None, key_pair=None):
        self.key_pair = key_pair or X25519DH().generate_keypair()
        self.symmetric = SymmetricState(CipherState(ChaChaPolyCipher()), SHA256Hash())
        self.state = HandshakeState(self.symmetric, X25519DH())
        self.state.initialize(PATTERN, initiator, prologue, s=self.key_pair,
                              rs=PublicKey(remote) if remote else None, psks=(psk,))
        assert self.state.protocol_name == "Noise_IKpsk2_25519_ChaChaPoly_SHA256"
        self.ciphers = None

    def write(self, payload):
        message = bytearray()
        self.ciphers = self.state.write_message(payload, message)
        return bytes(message)

    def read(self, message):
        payload = bytearray()
        self.ciphers = self.state.read_message(message, payload)
        return bytes(payload)


def remote_key(relay_key, direction, epoch, handshake_hash):
    info = b"zks/1 remote" + bytes([direction]) + epoch.to_bytes(8, "big")
    return HKDF(hashes.SHA256(), 32, salt=handshake_hash, info=info).derive(relay_key)


def ratchet(key):
    nonce = bytes(4) + (2**64 - 1).to_bytes(8, "little")
    return ChaCha20Poly1305(key).encrypt(nonce, bytes(32), b"")[:32]
