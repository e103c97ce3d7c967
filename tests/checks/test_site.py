# SPDX-License-Identifier: MIT
"""What scripts/docs holds the finished site to, each shown red on a fault, and what its hooks make the same."""
import importlib.util
import types
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "docs" / "site"


def load(name):
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOOD = '<h1 id="here">A page</h1><a href="../b/#there">b</a><a href="#here">up</a><pre>- kept\n```</pre><img src="../x.svg">'


@pytest.mark.parametrize("fault, said", [
    ("", ""),
    ('<a href="../c/">c</a>', "leads nowhere"),
    ('<a href="../b/#nowhere">b</a>', "no such heading"),
    ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
    ("<p>Some words:\n- a list</p>", "does not read '- a list'"),
    ("<p>```sh</p>", "does not read '```sh'"),
])
def test_the_site_is_looked_at(tmp_path, capsys, fault, said):
    for name, text in (("a", GOOD + fault), ("b", '<h1 id="there">Another</h1>')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(text)
    (tmp_path / "x.svg").write_text("<svg/>")
    assert load("look").main(tmp_path) == (1 if said else 0)
    assert said in capsys.readouterr().err


def test_an_empty_site_is_a_fault(tmp_path):
    assert load("look").main(tmp_path) == 1


def test_links_lead_where_the_repositorys_page_leads_them(tmp_path):
    hooks = load("hooks")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").write_text("# A folder\n")
    (tmp_path / "bare").mkdir()
    (tmp_path / "page.md").write_text("# Page\n\n## Twice\n\n### Twice\n")
    page = types.SimpleNamespace(file=types.SimpleNamespace(abs_src_path=str(tmp_path / "page.md")))

    def mended(text):
        return hooks.on_page_markdown(text, page, None, None)

    assert mended("[a](folder/)") == "[a](folder/README.md)"
    assert mended("[a](bare/)") == "a"
    assert mended("[a](page.md#twice-1) [b](#twice) `[c](folder/)`") == "[a](page.md#twice_1) [b](#twice) `[c](folder/)`"
    assert hooks.slug("TCP & UDP, by `status`", "-") == "tcp--udp-by-status"
