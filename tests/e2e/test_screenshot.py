# SPDX-License-Identifier: MIT
"""README's pictures: the terminal shows what the programs print today, and the two diagrams are one."""
import importlib.machinery
import importlib.util
import re

import pytest
from harness.process import REPOSITORY

pytestmark = pytest.mark.native_relay("the picture's relay is the native one")
IMAGES = REPOSITORY / "docs" / "images"


@pytest.fixture(scope="module")
def screenshot():
    loader = importlib.machinery.SourceFileLoader("screenshot", str(REPOSITORY / "scripts" / "screenshot"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("screenshot", loader))
    loader.exec_module(module)
    return module


def words(svg):
    """The lines of text of an SVG."""
    return [re.sub(r"<[^>]*>", "", text) for text in re.findall(r"<text.*?</text>", svg)]


def test_the_terminal_shows_what_the_programs_print(screenshot):
    assert words(screenshot.picture()) == words(screenshot.PICTURE.read_text()), "run scripts/screenshot, and look at it"


CHECK = """wss://localhost:4711
  DNS        ok         0 ms  localhost has 2 addresses
  TCP        ok       123 ms  connected to [::1]:4711
  TLS, relay ok        21 ms  certificate accepted, WebSocket open
  exit       ok         0 ms  the exit peer came to the relay
  key        ok         0 ms  both sides hold the link's keys
  session    ok         4 ms  the exit welcomed us
  stream     ok         1 ms  the exit connected to the relay's address for us"""
STATUS = """zks-tunnel-client socks5 0.1.0, process 1, running for 1 h 3 min

streams      0 open, 0 since the start; 0 B sent, 9 KiB received
LANE  AGE  RTT  EPOCH SENDING  RECEIVING  SENT  RECEIVED  RELAY
1     9 s  -    0              0          86 B  97 B      wss://localhost:4711"""


def test_what_changes_from_run_to_run_is_not_in_it(screenshot):
    (_, check), (_, status) = screenshot.fixed(CHECK, STATUS)
    assert check[:3] == ["wss://relay.example", "  DNS        ok         5 ms  relay.example has 1 address",
                         "  TCP        ok        14 ms  connected to 203.0.113.5:443"]
    assert status[2] == "streams      3 open, 120 since the start; 1.2 MiB sent, 33.4 MiB received"
    assert "4711," in status[0] and "localhost" not in "".join(check + status)


def test_other_words_of_the_programs_change_it(screenshot):
    before = screenshot.drawn(screenshot.fixed(CHECK, STATUS))
    assert words(screenshot.drawn(screenshot.fixed(CHECK.replace("welcomed us", "let us in"), STATUS))) != words(before)
    for check, status in ((CHECK.replace("session ", "welcome "), STATUS), (CHECK, STATUS.replace("RTT", "ROUND TRIP")),
                          (CHECK, STATUS.replace("0 B sent, ", ""))):
        with pytest.raises(AssertionError):
            screenshot.fixed(check, status)


def test_both_diagrams_differ_in_colours_alone():
    light, dark = ((IMAGES / f"path-{name}.svg").read_text().replace(f"for {name} pages", "") for name in ("light", "dark"))
    colour = re.compile(r"#[0-9a-f]{6}")
    assert colour.sub("", light) == colour.sub("", dark)
    assert colour.findall(light) != colour.findall(dark)
