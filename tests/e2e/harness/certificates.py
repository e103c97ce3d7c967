# SPDX-License-Identifier: MIT
"""A certificate authority made for one test run, and server certificates under it for localhost and test names."""
import datetime
import hashlib
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _write_key(path, key):
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))
    path.chmod(0o600)


def _builder(subject, issuer, public_key, lifetime):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + lifetime))


class Server:
    """The files of one server certificate, and its pin: SHA-256 of its public key's SPKI."""

    def __init__(self, cert, key, pin):
        self.cert = cert
        self.key = key
        self.pin = pin


class Authority:
    def __init__(self, directory, name="zks test CA", lifetime=DAY):
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._lifetime = lifetime
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        certificate = (_builder(self._name, self._name, self._key.public_key(), lifetime)
                       .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                       .sign(self._key, hashes.SHA256()))
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names):
        """A server certificate for DNS names and addresses; localhost and loopback when none is given."""
        names = names or ("localhost", "127.0.0.1", "::1")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (_builder(_name(names[0]), self._name, key.public_key(), self._lifetime)
                       .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
                       .sign(self._key, hashes.SHA256()))
        stem = self._directory / names[0].replace(":", "_")
        cert_file, key_file = stem.with_suffix(".crt"), stem.with_suffix(".key")
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(key_file, key)
        spki = key.public_key().public_bytes(serialization.Encoding.DER,
                                             serialization.PublicFormat.SubjectPublicKeyInfo)
        return Server(cert_file, key_file, hashlib.sha256(spki).digest())


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
