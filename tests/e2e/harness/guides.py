# SPDX-License-Identifier: MIT
"""The blocks of commands in README.md and the guides of docs/."""
import re
import textwrap

from .process import REPOSITORY

PROGRAMS = ("zks-tunnel-client", "zks-tunnel-relay")
GUIDES = sorted(path.relative_to(REPOSITORY).as_posix()
                for path in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")))


def blocks(guide, language="sh"):
    """The texts of a guide's fenced blocks of one language, in their order."""
    text = (REPOSITORY / guide).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.M | re.S)
    return [textwrap.dedent(body) for _, body in found]


def block(guide, beginning, language="sh"):
    found = [text for text in blocks(guide, language) if text.startswith(beginning)]
    assert len(found) == 1, f"{guide} has {len(found)} blocks that begin with: {beginning}"
    return found[0]


def commands(text):
    """A block's command lines: continued lines joined, comments at their end and blank lines left out."""
    joined = re.sub(r"\\\n\s*|(?<=\|)\n\s*", " ", text)
    lines = (re.sub(r"(^|\s+)# .*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def uses_of(text):
    """(program, mode or "", long options) of each command of ours in a block."""
    for line in commands(text):
        for part in re.split(r"[;|()]|&&", line):
            words = part.split()
            at = next((i for i, word in enumerate(words) if word.rsplit("/", 1)[-1] in PROGRAMS), None)
            if at is None:
                continue
            program, rest = words[at].rsplit("/", 1)[-1], words[at + 1:]
            mode = rest[0] if program == "zks-tunnel-client" and rest and not rest[0].startswith("-") else ""
            yield program, mode, re.findall(r"(?<!\S)--[a-z0-9-]+", " ".join(rest))
