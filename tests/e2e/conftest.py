# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end tests. A tunnel is shared by the tests of one file; a test that needs other options,
or measures memory, starts its own. A failed test shows the logs of the programs that were running."""
import os
import resource

import pytest
from harness import process
from harness.certificates import Authority
from harness.chain import Chain
from harness.dns import DnsServer
from harness.p2p import p2p_command
from harness.process import ReadyProgram
from harness.tunnel import RELAY, Tunnel, start_relay
from harness.web import WebServer
from relay_peers import RelayAccess

# A name that no public resolver knows (RFC 6761, "test."): only the exit's --resolver does.
SITE = "site.exit-only.test"
SITE_IPV6 = "site6.exit-only.test"
LOG_TAIL = 6000
LEFT_OUT = pytest.StashKey[list]()
RESETS = pytest.StashKey[int]()


def pytest_report_header():
    return f"relay: {RELAY}"


def resets_for_memory():
    """How many sockets of this namespace the kernel reset because TCP had no memory left (TCPAbortOnMemory)."""
    with open("/proc/net/netstat") as counters:
        names, values = (line.split() for line in counters.readlines()[:2])
    return int(dict(zip(names, values))["TCPAbortOnMemory"])


def is_of_the_file(mark, item):
    marks = getattr(item.module, "pytestmark", [])
    return mark in [each.mark for each in (marks if isinstance(marks, list) else [marks])]


def pytest_collection_modifyitems(config, items):
    """Tests of one relay alone are left out for the other, and never silently (pytest_terminal_summary)."""
    other = "worker_relay" if RELAY == "native" else "native_relay"
    marks = {item: item.get_closest_marker(other) for item in items}
    config.hook.pytest_deselected(items=[item for item, mark in marks.items() if mark])
    items[:] = [item for item, mark in marks.items() if not mark]
    whole = [item.path.name for item, mark in marks.items() if mark and is_of_the_file(mark, item)]
    config.stash[LEFT_OUT] = sorted({f"{item.path.name if item.path.name in whole else item.nodeid.split('[')[0]}: {mark.args[0]}"
                                     for item, mark in marks.items() if mark})


def pytest_sessionstart(session):
    session.config.stash[LEFT_OUT] = []
    session.config.stash[RESETS] = resets_for_memory()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[LEFT_OUT]:
        terminalreporter.section(f"left out with the relay {RELAY}")
        for line in config.stash[LEFT_OUT]:
            terminalreporter.line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for program in process.started:
            state = "running" if program.alive() else f"ended with {program.process.returncode}"
            report.sections.append((f"log of {program.name} ({state})", program.stderr()[-LOG_TAIL:]))
        resets = resets_for_memory() - item.config.stash[RESETS]
        if resets:
            report.sections.append(("kernel", f"it reset {resets} sockets since the run began, since TCP had no memory left"))


@pytest.hookimpl(trylast=True)  # after the fixtures, which end their programs properly
def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # a process of xdist
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]
    for program in list(process.started):
        program.kill()


@pytest.fixture(scope="session")
def full():
    """True when transfers should have their full size (scripts/test --full)."""
    return os.environ.get("ZKS_FULL") == "1"


@pytest.fixture(scope="session", autouse=True)
def vpn_journals(tmp_path_factory):
    """Where every vpn, of all network namespaces, writes down what to undo; nothing is left in /var/lib."""
    os.environ["ZKS_VPN_DIR"] = str(tmp_path_factory.mktemp("vpn-journals"))
    yield
    del os.environ["ZKS_VPN_DIR"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A directory for the processes that a module shares."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def dns():
    server = DnsServer({SITE: ["127.0.0.1"], SITE_IPV6: ["::1"]})
    yield server
    server.close()


@pytest.fixture(scope="module")
def web(workspace, authority):
    server = WebServer(workspace, authority.issue(SITE, "localhost", "127.0.0.1"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def tunnel(workspace, authority, dns):
    chain = Tunnel(workspace, authority, resolver=dns.address)
    yield chain
    chain.assert_alive()
    chain.stop()


@pytest.fixture
def new_tunnel(tmp_path, authority, dns):
    """Makes tunnels of a test's own; they end with it."""
    made = []

    def make(**options):
        chain = Tunnel(tmp_path, authority, resolver=dns.address, **options)
        made.append(chain)
        return chain

    yield make
    for chain in made:
        chain.kill()


@pytest.fixture
def new_chain(tmp_path, authority):
    """Makes chains whose relay can be killed and started again; they end with the test."""
    made = []

    def make(**options):
        made.append(Chain(tmp_path, authority, **options))
        return made[-1]

    yield make
    for chain in made:
        chain.kill()


@pytest.fixture
def programs():
    """Programs appended here are stopped after the test, the last one first."""
    started = []
    yield started
    for program in reversed(started):
        program.kill()


@pytest.fixture
def own_relay(tmp_path, programs):
    """Starts a plaintext relay with options of a test's own."""

    def start(*options, **more):
        program = start_relay(tmp_path, None, *options, **more)
        programs.append(program)
        access = RelayAccess(program.url)
        access.program = program
        return access

    return start


@pytest.fixture
def many_descriptors():
    """Called, it lets the test hold many connections; what was started before has the usual few descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def start_p2p(programs):
    """Starts a p2p-client with these options at a chain's exit."""

    def begin(chain, *options, name="p2p", **how):
        client = ReadyProgram(name, p2p_command(chain, *options, name=name), chain.directory, **how)
        programs.append(client)
        return client

    return begin
