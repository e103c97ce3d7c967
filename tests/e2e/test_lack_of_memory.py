# SPDX-License-Identifier: MIT
"""An exit and a client that may have little more memory than they have: what lacks it ends, they go on, and the tunnel
works once there is some."""
import resource

import pytest
from conftest import SITE
from harness import socks
from harness.process import run, wait_until

MIB = 1 << 20
# What is left: no more than a few streams' worth.
LEFT = 4 * MIB


def virtual_bytes(pid):
    with open(f"/proc/{pid}/statm") as sizes:
        return int(sizes.read().split()[0]) * resource.getpagesize()


def lacked_memory(program):
    return "memory" in program.stderr() or "bad_alloc" in program.stderr()


@pytest.mark.load  # servers here fill the kernel's memory for TCP, all of the machine's; then it resets others' sockets
@pytest.mark.parametrize("who", ["exit", "client"])
def test_what_lacks_memory_ends_and_the_program_goes_on(new_tunnel, web, who):
    (web.root / "small").write_text("here\n")
    with open(web.root / "large", "wb") as sparse:
        sparse.truncate(1 << 30)
    tunnel = new_tunnel()
    program = {"exit": tunnel.exit, "client": tunnel.client}[who]
    fetch = ["curl", "-sS", "-m", "40", "--noproxy", "", "--socks5-hostname", tunnel.proxy_text,
             f"http://{SITE}:{web.http_port}/small"]
    assert run(fetch).stdout == "here\n"
    resource.prlimit(program.pid, resource.RLIMIT_AS, (virtual_bytes(program.pid) + LEFT, resource.RLIM_INFINITY))
    readers = []
    try:
        while not lacked_memory(program):  # that do not read
            readers.append(socks.connect(tunnel.proxy, "127.0.0.1", web.http_port))
            readers[-1].sendall(b"GET /large HTTP/1.0\r\n\r\n")
    except (OSError, socks.SocksError):
        pass  # one of those that end
    wait_until(lambda: lacked_memory(program), 60, "it lacked memory")
    assert program.alive()
    for reader in readers:
        socks.abort(reader)
    resource.prlimit(program.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: run(fetch).stdout == "here\n", 60, "the tunnel works again")
    tunnel.assert_alive()
