# SPDX-License-Identifier: MIT
"""The handshake and the records against implementations that are not ours: python3-dissononce is the other end of
Noise_IKpsk2_25519_ChaChaPoly_SHA256 in both roles, python3-cryptography seals and opens records by PROTOCOL.md's
formula. Our end is build/noise_peer (tests/interop/noise_peer.cpp), spoken to in hex lines."""
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from dissononce.exceptions.decrypt import DecryptFailedException
from harness.noise import RATCHET_RECORDS, Dissononce, ratchet, remote_key

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ZKS_BUILD_DIR", REPOSITORY / "build" / "release")).resolve()


class Refused(Exception):
    pass


class Peer:
    """noise_peer: one line for a command, one line back."""

    def __init__(self):
        self.process = subprocess.Popen([BUILD / "noise_peer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, command, *arguments):
        words = [command]
        for argument in arguments:
            words.append(argument.hex() or "-" if isinstance(argument, bytes) else str(argument))
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer, f"noise_peer ended at {command}"
        if answer[0] == "refused":
            raise Refused(command)
        return bytes.fromhex(answer[1] if len(answer) > 1 else "")

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()


@pytest.fixture
def peer():
    ours = Peer()
    yield ours
    ours.close()


PROLOGUE = b"zks/1" + bytes(range(52))
FIRST, SECOND = b"\x01invite..\x00", b"\x01\x00"


def shake_as_initiator(peer, other, our_static, psk):
    """We are the initiator. Returns the keys and the hash that we split into."""
    peer("handshake", "initiator", PROLOGUE, our_static, other.key_pair.public.data, psk)
    assert other.read(peer("write", FIRST)) == FIRST
    assert other.state.rs.data == peer("public")
    assert peer("read", other.write(SECOND)) == SECOND
    return peer("split")


def shake_as_responder(peer, other):
    """We are the responder; `other` was made with our public key."""
    assert peer("read", other.write(FIRST)) == FIRST
    assert peer("remote") == other.key_pair.public.data
    assert other.read(peer("write", SECOND)) == SECOND
    return peer("split")


def check_transport(peer, sending, receiving):
    """Messages both ways with what dissononce's Split() returned, then a forgery each way."""
    for number in range(5):
        text, ad = os.urandom(number * 100), os.urandom(number)
        assert receiving.decrypt_with_ad(ad, peer("encrypt", ad, text)) == text
        assert peer("decrypt", ad, sending.encrypt_with_ad(ad, text)) == text
    forged = bytearray(peer("encrypt", b"", b"text"))
    forged[0] ^= 1
    with pytest.raises(DecryptFailedException):
        receiving.decrypt_with_ad(b"", bytes(forged))
    forged = bytearray(sending.encrypt_with_ad(b"", b"text"))
    forged[0] ^= 1
    with pytest.raises(Refused):
        peer("decrypt", b"", bytes(forged))


def test_we_initiate(peer):
    psk = os.urandom(32)
    other = Dissononce(False, PROLOGUE, psk)
    keys = shake_as_initiator(peer, other, os.urandom(32), psk)
    assert keys[64:] == other.symmetric.get_handshake_hash()
    ours, theirs = other.ciphers
    check_transport(peer, sending=theirs, receiving=ours)


def our_responder(peer, psk):
    """Makes our end, and dissononce's that knows our public key."""
    peer("handshake", "responder", PROLOGUE, os.urandom(32), b"", psk)
    return peer("public")


def test_we_respond(peer):
    psk = os.urandom(32)
    other = Dissononce(True, PROLOGUE, psk, remote=our_responder(peer, psk))
    keys = shake_as_responder(peer, other)
    assert keys[64:] == other.symmetric.get_handshake_hash()
    theirs, ours = other.ciphers
    check_transport(peer, sending=theirs, receiving=ours)


def test_wrong_psk_is_refused_in_both_roles(peer):
    other = Dissononce(False, PROLOGUE, os.urandom(32))
    peer("handshake", "initiator", PROLOGUE, os.urandom(32), other.key_pair.public.data, os.urandom(32))
    assert other.read(peer("write", FIRST)) == FIRST
    message = other.write(SECOND)
    for _ in range(2):  # the second time it is dead
        with pytest.raises(Refused):
            peer("read", message)

    other = Dissononce(True, PROLOGUE, os.urandom(32), remote=our_responder(peer, os.urandom(32)))
    assert peer("read", other.write(FIRST)) == FIRST  # message 1 does not prove the psk
    with pytest.raises(DecryptFailedException):
        other.read(peer("write", SECOND))


def test_wrong_prologue_is_refused(peer):
    psk = os.urandom(32)
    other = Dissononce(True, PROLOGUE + b"x", psk, remote=our_responder(peer, psk))
    with pytest.raises(Refused):
        peer("read", other.write(FIRST))


# Records

def xor_key_stream(key, n, data):
    return Cipher(algorithms.AES(key), modes.CTR(n.to_bytes(8, "big") + bytes(8))).encryptor().update(data)


class Lane:
    """One direction of a lane, by the formula: seals record n, or opens it (cryptography raises InvalidTag)."""

    def __init__(self, direction):
        self.direction = direction
        self.first_key, self.handshake_hash = os.urandom(32), os.urandom(32)
        self.relay_keys = {0: os.urandom(32)}

    def _keys(self, n, epoch):
        local = self.first_key
        for _ in range(n // RATCHET_RECORDS):
            local = ratchet(local)
        nonce = bytes(4) + n.to_bytes(8, "little")
        return ChaCha20Poly1305(local), nonce, remote_key(
            self.relay_keys[epoch], self.direction, epoch, self.handshake_hash)

    def seal(self, n, epoch, frames):
        local, nonce, remote = self._keys(n, epoch)
        byte = bytes([epoch % 256])
        return byte + xor_key_stream(remote, n, local.encrypt(nonce, frames, byte))

    def open(self, n, epoch, record):
        local, nonce, remote = self._keys(n, epoch)
        assert record[0] == epoch % 256
        return local.decrypt(nonce, xor_key_stream(remote, n, record[1:]), record[:1])


def make_lane(peer, direction):
    lane = Lane(direction)
    peer("lane", direction, lane.first_key, lane.handshake_hash, lane.relay_keys[0])
    return lane


@pytest.mark.parametrize("direction", [0, 1])
def test_records_both_ways(peer, direction):
    lane = make_lane(peer, direction)
    for n, size in enumerate([0, 1, 15, 16, 17, 63, 64, 65, 1000, 65_536, 262_144]):
        frames = os.urandom(size)
        assert lane.open(n, 0, peer("seal", frames)) == frames
        assert peer("open", lane.seal(n, 0, frames)) == frames


def test_records_over_two_ratchets(peer):
    lane = make_lane(peer, 0)
    n = 0
    for boundary in (RATCHET_RECORDS, 2 * RATCHET_RECORDS):
        peer("skip", boundary - 1 - n)
        for n in range(boundary - 1, boundary + 2):
            frames = os.urandom(50)
            assert lane.open(n, 0, peer("seal", frames)) == frames
        n += 1


def test_records_of_epochs_past_255(peer):
    lane = make_lane(peer, 1)
    for epoch in range(1, 259):
        key = lane.relay_keys[epoch] = os.urandom(32)
        peer("seal_epoch", epoch, key)
        peer("open_epoch", epoch, key)
        n, frames = epoch - 1, os.urandom(epoch)
        assert lane.open(n, epoch, peer("seal", frames)) == frames
        assert peer("open", lane.seal(n, epoch, frames)) == frames


def test_an_altered_record_ends_the_opener(peer):
    lane = make_lane(peer, 0)
    record = lane.seal(0, 0, b"frames")
    with pytest.raises(Refused):
        peer("open", record[:-1] + bytes([record[-1] ^ 1]))
    with pytest.raises(Refused):
        peer("open", record)


def test_records_of_a_real_handshake(peer):
    """The whole way: keys and hash from a handshake with dissononce, then records under them."""
    psk = os.urandom(32)
    other = Dissononce(True, PROLOGUE, psk, remote=our_responder(peer, psk))
    keys = shake_as_responder(peer, other)
    lane = Lane(direction=0)
    # dissononce's own key of the first cipher state: client to exit
    lane.first_key, lane.handshake_hash = other.ciphers[0]._key, other.symmetric.get_handshake_hash()
    assert keys[:32] == lane.first_key
    peer("lane", 0, keys[:32], keys[64:], lane.relay_keys[0])
    assert peer("open", lane.seal(0, 0, b"hello")) == b"hello"
