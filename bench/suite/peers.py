# SPDX-License-Identifier: MIT
"""The proxies that scripts/bench proxies measures: each a context manager that starts its programs on loopback, in the
network namespace of the calling thread, and yields (port of its SOCKS5 proxy, {role: [pids]})."""
import contextlib
import json
import socket

from harness.certificates import Authority
from harness.p2p import free_port
from harness.process import BUILD, Program, wait_until
from harness.ssh import SshServer
from harness.tunnel import start_client, start_exit, start_relay

SSH_CIPHER = "aes256-gcm@openssh.com"


def wait_for_port(port, program, seconds=20):
    def listens():
        assert program.alive(), f"{program.name} ended:\n{program.stderr()}{program.stdout()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, seconds, f"{program.name} listens")


@contextlib.contextmanager
def running(name, argv, directory, port=None):
    program = Program(name, argv, directory)
    try:
        if port:
            wait_for_port(port, program)
        yield program
    finally:
        program.kill()


@contextlib.contextmanager
def zks(directory, tls=True, relay_options=(), client_options=()):
    authority = Authority(directory / "ca")
    ca_file = authority.ca_file if tls else None
    programs = []
    try:
        relay = start_relay(directory, authority.issue() if tls else None, *relay_options)
        programs.append(relay)
        exit_peer = start_exit(directory, relay.url, ca_file=ca_file)
        programs.append(exit_peer)
        client = start_client(directory, exit_peer.link(), *client_options, ca_file=ca_file)
        programs.append(client)
        yield client.proxy[1], {"client": [client.pid], "relay": [relay.pid], "exit": [exit_peer.pid]}
    finally:
        for program in reversed(programs):
            program.kill()


@contextlib.contextmanager
def chain(directory):
    """Three bench_forward in a row."""
    with contextlib.ExitStack() as stack:
        roles, port = {}, None
        for role in ("third", "second", "first"):
            target = ["--to", port] if port else ["--socks5"]
            program = stack.enter_context(running(f"forward-{role}", [BUILD / "bench_forward", *target], directory))
            port = int(wait_until(program.stdout, 10, "bench_forward says its port"))
            roles[role] = [program.pid]
        yield port, dict(reversed(roles.items()))


@contextlib.contextmanager
def ssh(directory):
    server = SshServer(directory)
    port = free_port()
    command = server.command("-N", "-D", f"127.0.0.1:{port}", "-o", f"Ciphers={SSH_CIPHER}", "-o", "Compression=no",
                             "-o", "ExitOnForwardFailure=yes")
    try:
        with running("ssh-D", command, directory, port) as client:
            yield port, {"ssh": [client.pid], "sshd": [child.pid for child in server._children]}
    finally:
        server.close()


@contextlib.contextmanager
def shadowsocks(directory):
    far, near = free_port(), free_port()
    settings = {"server": "127.0.0.1", "server_port": far, "local_address": "127.0.0.1", "local_port": near,
                "password": "bench", "method": "aes-256-gcm", "timeout": 300, "mode": "tcp_and_udp"}
    config = directory / "shadowsocks.json"
    config.write_text(json.dumps(settings))
    with running("ss-server", ["ss-server", "-c", config], directory, far) as server, \
            running("ss-local", ["ss-local", "-c", config], directory, near) as client:
        yield near, {"ss-local": [client.pid], "ss-server": [server.pid]}


@contextlib.contextmanager
def v2ray(directory):
    """vmess in WebSocket in TLS, two processes. Its own cipher is what `auto` takes here, AES-128-GCM."""
    authority = Authority(directory / "ca")
    certificate = authority.issue()
    far, near = free_port(), free_port()
    user = "b831381d-6324-4d53-ad4f-8cda48b30811"
    websocket = {"network": "ws", "security": "tls", "wsSettings": {"path": "/bench"}}
    server_tls = {"certificates": [{"certificateFile": str(certificate.cert), "keyFile": str(certificate.key)}]}
    client_tls = {"serverName": "localhost", "disableSystemRoot": True,
                  "certificates": [{"usage": "verify", "certificateFile": str(authority.ca_file)}]}
    log = {"loglevel": "warning"}
    server = {"log": log, "outbounds": [{"protocol": "freedom"}],
              "inbounds": [{"listen": "127.0.0.1", "port": far, "protocol": "vmess",
                            "settings": {"clients": [{"id": user, "alterId": 0}]},
                            "streamSettings": {**websocket, "tlsSettings": server_tls}}]}
    target = {"address": "localhost", "port": far, "users": [{"id": user, "alterId": 0, "security": "auto"}]}
    client = {"log": log, "inbounds": [{"listen": "127.0.0.1", "port": near, "protocol": "socks", "settings": {}}],
              "outbounds": [{"protocol": "vmess", "settings": {"vnext": [target]},
                             "streamSettings": {**websocket, "tlsSettings": client_tls}}]}
    for name, config in (("server", server), ("client", client)):
        (directory / f"{name}.json").write_text(json.dumps(config))
    with running("v2ray-server", ["v2ray", "-config", directory / "server.json"], directory, far) as one, \
            running("v2ray-client", ["v2ray", "-config", directory / "client.json"], directory, near) as other:
        yield near, {"v2ray client": [other.pid], "v2ray server": [one.pid]}


@contextlib.contextmanager
def chisel(directory):
    """SSH in a WebSocket in TLS."""
    authority = Authority(directory / "ca")
    certificate = authority.issue()
    far, near = free_port(), free_port()
    server = ["chisel", "server", "--host", "127.0.0.1", "--port", far, "--socks5", "--tls-key", certificate.key,
              "--tls-cert", certificate.cert]
    client = ["chisel", "client", "--tls-ca", authority.ca_file, f"https://localhost:{far}", f"127.0.0.1:{near}:socks"]
    with running("chisel-server", server, directory, far) as one, \
            running("chisel-client", client, directory, near) as other:
        yield near, {"chisel client": [other.pid], "chisel server": [one.pid]}


@contextlib.contextmanager
def wstunnel(directory):
    """Plain TCP in a WebSocket in TLS, without a second cipher."""
    certificate = Authority(directory / "ca").issue()
    far, near = free_port(), free_port()
    server = ["wstunnel", "server", "--tls-certificate", certificate.cert, "--tls-private-key", certificate.key,
              f"wss://127.0.0.1:{far}"]
    client = ["wstunnel", "client", "-L", f"socks5://127.0.0.1:{near}", f"wss://127.0.0.1:{far}"]
    with running("wstunnel-server", server, directory, far) as one, \
            running("wstunnel-client", client, directory, near) as other:
        yield near, {"wstunnel client": [other.pid], "wstunnel server": [one.pid]}
