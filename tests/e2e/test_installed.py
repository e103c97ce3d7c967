# SPDX-License-Identifier: MIT
"""What `cmake --install` puts on a machine: programs, units that name them, and documents whose links lead somewhere."""
import re

import pytest
from harness.process import BUILD, REPOSITORY, run

pytestmark = pytest.mark.native_relay("no relay takes part")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    directory = tmp_path_factory.mktemp("installed")
    done = run(["cmake", "--install", BUILD, "--prefix", directory], 120)
    assert done.returncode == 0, done.stderr
    return directory


def anchors(text):
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ +(.*)$", CODE.sub(lambda code: "" if code[0].startswith("```") else code[0], text), re.MULTILINE)
    names = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {f"{name}-{names[:at].count(name)}" if name in names[:at] else name for at, name in enumerate(names)}


def broken_links(root):
    """"FILE: LINK" of each link to a file or heading below `root` that is not there, and how many links there are."""
    broken, count = [], 0
    for page in sorted(root.rglob("*.md")):
        for link in LINK.findall(CODE.sub("", page.read_text())):
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or root.resolve() not in [target, *target.parents]:
                broken.append(f"{page.relative_to(root)}: {link}")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
                broken.append(f"{page.relative_to(root)}: {link}, a heading")
    return broken, count


def test_links_between_installed_documents_lead_somewhere(prefix):
    (documents,) = prefix.glob("share/doc/*")
    assert (documents / "README.md").exists() and (documents / "LICENSE").exists()
    broken, count = broken_links(documents)
    assert count > 50 and broken == []


def test_a_broken_link_would_be_found(tmp_path):
    (tmp_path / "there.md").write_text("# A heading\n## A heading\n")
    (tmp_path / "page.md").write_text("[a](there.md#a-heading) [a](there.md#a-heading-1) [b](nowhere.md) "
                                      "[c](there.md#nowhere) [d](../x) `[e](code.md)`\n")
    broken, count = broken_links(tmp_path)
    assert count == 5
    assert broken == ["page.md: nowhere.md", "page.md: there.md#nowhere, a heading", "page.md: ../x"]


def test_units_name_programs_and_documents_that_are_installed(prefix):
    units = list(prefix.glob("lib/systemd/system/*.service"))
    assert len(units) >= 3
    for unit in units:
        text = unit.read_text()
        named = re.findall(rf"{re.escape(str(prefix))}[^\s]*", text)
        assert len(named) >= 2, "a program and its documentation"
        for path in named:
            assert (prefix / path).exists(), f"{unit.name}: {path}"


def test_paths_of_installed_files_in_the_guides_exist(prefix):
    named = {path for guide in (REPOSITORY / "docs/guide").glob("*.md")
             for path in re.findall(r"/usr/local(/[^\s`,]*)", guide.read_text())}
    assert "/share/doc/zks_vpn/examples/relay.toml" in named
    assert [path for path in sorted(named) if not (prefix / path.lstrip("/")).exists()] == []
