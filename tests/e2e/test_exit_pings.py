# SPDX-License-Identifier: MIT
"""What an exit hears about its pings, with both kinds of socket, over a router in a namespace of its own: replies, time
exceeded, no route, and a host that is not there. Our end is build/ping_peer (tests/interop/ping_peer.cpp)."""
import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from harness import namespace

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ZKS_BUILD_DIR", REPOSITORY / "build" / "release")).resolve()
pytestmark = pytest.mark.skipif(not namespace.possible(), reason="takes root and network namespaces")


def ip(name, *commands):
    for command in commands:
        subprocess.run(["ip", "-n", name, *command.split()], check=True)


def write(name, value, *paths):
    for path in paths:
        subprocess.run(["ip", "netns", "exec", name, "tee", f"/proc/sys/net/{path}"], input=value.encode(),
                       stdout=subprocess.DEVNULL, check=True)


@pytest.fixture(scope="module")
def exit_machine():
    """Behind a router that has a route to 10.2.0.0/24 and fd02::/64, where .2 is, and none to 10.9.0.0/16 and fd09::/64."""
    with contextlib.ExitStack() as stack:
        exit_, router, host = (stack.enter_context(namespace.made()) for _ in range(3))
        ip(exit_, f"link add to-router type veth peer name to-exit netns {router}")
        ip(router, f"link add to-host type veth peer name to-router netns {host}")
        ip(exit_, "address add 10.1.0.1/24 dev to-router", "address add fd01::1/64 dev to-router nodad",
           "link set to-router up")
        ip(router, "address add 10.1.0.2/24 dev to-exit", "address add fd01::2/64 dev to-exit nodad", "link set to-exit up",
           "address add 10.2.0.1/24 dev to-host", "address add fd02::1/64 dev to-host nodad", "link set to-host up",
           "route add unreachable 10.9.0.0/16", "-6 route add unreachable fd09::/64")
        ip(host, "address add 10.2.0.2/24 dev to-router", "address add fd02::2/64 dev to-router nodad",
           "link set to-router up", "route add default via 10.2.0.1", "-6 route add default via fd02::1")
        ip(exit_, "route add default via 10.1.0.2", "-6 route add default via fd01::2")
        write(router, "1", "ipv4/ip_forward", "ipv6/conf/all/forwarding")
        yield exit_


@pytest.mark.parametrize("groups", ["1 0", "0 2147483647"], ids=["raw socket", "ping socket"])
def test_what_the_network_says(exit_machine, groups):
    write(exit_machine, groups, "ipv4/ping_group_range")
    expected = {("10.2.0.2", 64): "10.2.0.2 0 0 56", ("10.2.0.2", 1): "10.1.0.2 11 0 0",
                ("10.9.0.1", 64): "10.1.0.2 3 1 0", ("10.2.0.77", 64): "10.1.0.2 3 1 0",
                ("fd02::2", 64): "fd02::2 129 0 56", ("fd02::2", 1): "fd01::2 3 0 0",
                ("fd09::1", 64): "fd01::2 1 0 0", ("fd02::77", 64): "fd01::2 1 3 0"}
    words = [str(word) for pair in expected for word in pair]
    said = subprocess.run(["ip", "netns", "exec", exit_machine, BUILD / "ping_peer", *words], capture_output=True,
                          text=True, check=True, timeout=60).stdout.splitlines()
    assert dict(zip(expected, said, strict=True)) == expected


def test_without_a_route():
    with namespace.made() as nowhere:
        write(nowhere, "0 2147483647", "ipv4/ping_group_range")
        said = subprocess.run(["ip", "netns", "exec", nowhere, BUILD / "ping_peer", "10.2.0.2", "64", "fd02::2", "64"],
                              capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert said == ["Network is unreachable"] * 2
