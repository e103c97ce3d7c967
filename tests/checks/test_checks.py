# SPDX-License-Identifier: MIT
"""The checks of scripts/checks find a fault that is put into a copy of the repository, and none without it."""
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """What git knows of the repository, and what is new in it, in a repository of its own."""
    copy = tmp_path_factory.mktemp("copy") / "repository"
    listed = subprocess.run(["git", "-C", REPOSITORY, "ls-files", "--cached", "--others", "--exclude-standard",
                             "CMakeLists.txt", "src", "apps", "*.md", "docs", "worker", "packaging", "tests", "bench"],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    for name in listed:
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, copy / name)
    for name in ("LICENSE", "scripts", ".ci", ".github", "fuzz"):  # what documents lead to
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, copy / name, dirs_exist_ok=True)
        elif (REPOSITORY / name).exists():
            shutil.copy(REPOSITORY / name, copy / name)
    subprocess.run(["git", "init", "-q", copy], check=True)
    return copy


def faults(check, root):
    """The lines in which the check tells of faults; it has to fail if there are any, and only then."""
    done = subprocess.run([REPOSITORY / "scripts" / "checks" / check, root], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == (1 if done.stderr else 0), done.stderr
    return lines if done.returncode else []


@pytest.fixture
def edit(clean):
    """A function that replaces text in a file of the copy until the test is over."""
    before = {}

    def replace(name, old, new):
        path = clean / name
        before.setdefault(path, path.read_text())
        assert old in before[path], f"{name} has no {old!r}"
        path.write_text(path.read_text().replace(old, new, 1))

    yield replace
    for path, text in before.items():
        path.write_text(text)


@pytest.mark.parametrize("check", ["includes", "limits", "links"])
def test_there_is_no_fault(clean, check):
    assert faults(check, clean) == []


@pytest.mark.parametrize(("check", "name", "old", "new", "told"), [
    ("includes", "src/session/streams.hpp", '#include "session/credit_pool.hpp"', '#include "tunnel/client.hpp"', "links no tunnel"),
    ("includes", "src/session/frames.cpp", "#include", "#include <boost/asio/post.hpp>\n#include", "is of ASIO"),
    ("includes", "src/packet/packet.cpp", "#include", "#include <nlohmann/json.hpp>\n#include", "is of nlohmann_json"),
    ("includes", "src/relay/relay.hpp", "#include", '#include "crypto/noise.hpp"\n#include', "links no crypto"),
    ("includes", "src/vpn/name_process.cpp", "net/resolver.hpp", "exit/guest_resolver.hpp", "links no exit"),
    ("includes", "apps/tunnel-relay/main.cpp", "#include", '#include "session/frames.hpp"\n#include', "links no session"),
    ("includes", "CMakeLists.txt", "zks_layer(packet DEPS base)", "zks_layer(packet DEPS base link)", "includes nothing of it"),
    ("includes", "CMakeLists.txt", "zks_layer(relay ASIO DEPS base net carrier)", "zks_layer(relay ASIO DEPS base net carrier crypto)",
     "it could read records"),
    ("includes", "src/README.md", "| `packet/`", "| `parcel/`", "no row for packet/"),
    ("limits", "src/relay/options.hpp", "max_handshakes = 1'024", "max_handshakes = 2'048", "max_handshakes is"),
    ("limits", "src/relay/join_limiter.hpp", "kBurstSeconds = 20", "kBurstSeconds = 10", "kBurstSeconds is 200"),
    ("limits", "src/exit/invite_store.cpp", "kPinWithin{3}", "kPinWithin{4}", "kPinWithin is 4 s"),
    ("limits", "src/exit/half_open.hpp", "kMaxLanes = 64", "kMostLanes = 64", "no constant kMaxLanes"),
    ("limits", "PROTOCOL.md", "| exit | knocks that are answered | 200/s", "| exit | knocks that are answered | 300/s",
     "300/s comes from no constant"),
    ("limits", "PROTOCOL.md", "| relay | rooms file |", "| relay | file of rooms |", "no row for"),
])
def test_a_fault_is_found(clean, edit, check, name, old, new, told):
    edit(name, old, new)
    assert any(told in line for line in faults(check, clean))


@pytest.mark.parametrize(("link", "told"), [
    ("[there](docs/nowhere.md)", "docs/nowhere.md is not there"),
    ("[there](PROTOCOL.md#nothing-of-that-name)", "no such heading"),
    ("![a picture](docs/none.svg)", "docs/none.svg is not there"),
    ("[outside](../../etc/passwd)", "is not there"),
    ('<img src="docs/none.png">', "docs/none.png is not there"),
])
def test_a_link_to_nowhere_is_found(clean, edit, link, told):
    edit("README.md", "\n\n", f"\n\n{link}\n\n")
    assert any(told in line for line in faults("links", clean))


@pytest.mark.parametrize("text", ["`[code](nowhere)`", "```\n[code](nowhere)\n```", "[site](https://example.org/nowhere)",
                                  "[limits](PROTOCOL.md#limits)"])
def test_what_is_no_fault_is_not_told(clean, edit, text):
    edit("README.md", "\n\n", f"\n\n{text}\n\n")
    assert faults("links", clean) == []
