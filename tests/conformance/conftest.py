# SPDX-License-Identifier: MIT
"""The relay under test: one that is reached by its URL, or one that each process of the suite starts for itself.

A test that can't hold for the relay is left out when tests are collected, and named with the reason at the end.
"""
import pytest
from harness import process
from harness.certificates import Authority
from harness.tunnel import start_relay
from profiles import GENERIC, PROFILES
from relay_peers import RelayAccess

# What the suite can start: (which relay, whether over TLS, its usual options).
STARTED = {"native": ("native", True, ("--threads", "3")), "native-plain": ("native", False, ("--threads", "1")),
           "worker": ("worker", True, ())}
REASONS = pytest.StashKey[dict]()
LOG_TAIL = 6000


def pytest_addoption(parser):
    group = parser.getgroup("relay")
    group.addoption("--relay", default="native", help=f"a relay's URL, or one to start: {', '.join(STARTED)}")
    group.addoption("--ca", help="a file with the certificates to trust instead of the system's")
    group.addoption("--profile", choices=PROFILES, help="which limits it has (default: by --relay, else generic)")
    group.addoption("--rooms", type=int, default=500, help="rooms of the isolation test (default: %(default)s)")
    group.addoption("--rotate-bytes", type=int, default=0,
                    help="the relay at the URL changes keys after that many bytes; for the tests of epochs")


def profile_of(config):
    if config.getoption("--profile"):
        return PROFILES[config.getoption("--profile")]
    kind, _, _ = STARTED.get(config.getoption("--relay"), (GENERIC.name, None, None))
    return PROFILES[kind]


def flags_of(config):
    """What a test may start a relay with."""
    if config.getoption("--relay") in STARTED:
        return profile_of(config).flags
    return {"--rotate-bytes"} if config.getoption("--rotate-bytes") else set()


def pytest_report_header(config):
    return f"relay: {config.getoption('--relay')}, profile {profile_of(config).name}"


def pytest_collection_modifyitems(config, items):
    flags, kept, reasons = flags_of(config), [], {}
    for item in items:
        missing = {flag for mark in item.iter_markers("needs") for flag in mark.args} - flags
        if missing:
            name = item.nodeid.split("::")[1].split("[")[0]
            reasons[name] = f"needs a relay that it starts with {', '.join(sorted(missing))}"
        else:
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    # What waits longest begins first, so that the rest is done meanwhile.
    kept.sort(key=lambda item: -max((mark.args[0] for mark in item.iter_markers("waits")), default=0))
    items[:] = kept
    config.stash[REASONS] = reasons


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(REASONS, {})
    for program in list(process.started):
        program.kill()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash[REASONS] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter, config):
    reasons = config.stash.get(REASONS, {})
    if reasons:
        terminalreporter.section(f"left out with {config.getoption('--relay')}")
        for name, reason in sorted(reasons.items()):
            terminalreporter.line(f"{name}: {reason}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        for program in process.started:
            outcome.get_result().sections.append((f"log of {program.name}", program.stderr()[-LOG_TAIL:]))


@pytest.fixture(scope="session")
def profile(pytestconfig):
    return profile_of(pytestconfig)


@pytest.fixture(scope="session")
def starter(pytestconfig, tmp_path_factory):
    """Starts a relay of the kind under test; (access, program)."""
    kind, tls, usual = STARTED[pytestconfig.getoption("--relay")]
    authority = Authority(tmp_path_factory.mktemp("authority"))

    def start(*options):
        certificate = authority.issue() if tls else None
        program = start_relay(tmp_path_factory.mktemp("relay"), certificate, *usual, *options, kind=kind)
        return RelayAccess(program.url, authority.ca_file if tls else None), program

    return start


@pytest.fixture(scope="session")
def relay(pytestconfig, request):
    """Access to the relay that all tests share."""
    url = pytestconfig.getoption("--relay")
    if url not in STARTED:
        yield RelayAccess(url, pytestconfig.getoption("--ca"), patient=True)
        return
    access, program = request.getfixturevalue("starter")()
    yield access
    assert program.alive(), f"the relay ended with {program.process.returncode}"
    assert program.stop() == 0


@pytest.fixture
def relay_with(starter):
    """Starts a relay with options of a test's own."""
    programs = []

    def start(*options):
        access, program = starter(*options)
        programs.append(program)
        return access

    yield start
    for program in programs:
        program.kill()


@pytest.fixture
def rotating(pytestconfig, relay, request):
    """(relay, bytes): one that changes keys after so many bytes, as few as may be."""
    told = pytestconfig.getoption("--rotate-bytes")
    if told:
        return relay, told
    return request.getfixturevalue("relay_with")("--rotate-bytes", "65536"), 65536
