# SPDX-License-Identifier: MIT
"""The runner of the handshake's models: what it says without Verifpal, and what it makes of one that finds nothing."""
import os
import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "docs/model/handshake/check"
ALL_IS_WELL = """#!/bin/sh
if [ "$1" = --version ]; then echo 'verifpal 1.6.7'; exit; fi
for model; do :; done
sed -n '/^queries\\[/,$s/^[[:space:]]*\\(.*? .*\\)/  PASS + \\1  [search HOW_FAR at 2 sessions]/p' "$model"
"""


def run(folder, *arguments):
    environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "CARGO_HOME": str(folder / "none")}
    return subprocess.run([CHECK, *arguments], env=environment, text=True, capture_output=True, check=False)


def test_without_verifpal_it_says_that_nothing_was_checked(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0 and "NOT CHECKED" in done.stdout and "cargo" in done.stdout, done
    assert run(tmp_path, "--required").returncode == 1


@pytest.mark.parametrize("how_far, why", [("exhausted", "should break"), ("cut short", "not exhausted")])
def test_a_search_that_finds_nothing_is_not_believed(tmp_path, how_far, why):
    tool = tmp_path / "verifpal"
    tool.write_text(ALL_IS_WELL.replace("HOW_FAR", how_far))
    tool.chmod(0o755)
    done = run(tmp_path)
    assert done.returncode == 1, done
    failed = [line for line in done.stdout.splitlines() if "FAILED" in line]
    assert any(why in line for line in failed), done.stdout
    assert ("handshake.vp nothing stolen: 10 hold" in done.stdout) == (how_far == "exhausted"), done.stdout
