# SPDX-License-Identifier: MIT
"""What scripts/bench makes of figures: medians and ratios, the page's tables, what --smoke takes for a fall, folded stacks.
The figures themselves are asserted nowhere."""
import subprocess
import sys
import types
from pathlib import Path

import pytest
from harness.process import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "bench"))
from suite import flame, page, smoke, vpn  # noqa: E402
from suite.results import Result  # noqa: E402


def made(ours, chain, name="proxies"):
    """A result with one stream down at these rates and echoes of the inverse, a round each."""
    result = Result.new(name, {})
    result.content["measures"] = [["1 stream down", "Gbit/s", True], ["echo of 64 bytes p50", "µs", False]]
    for path, rates in (("zks", ours), ("chain", chain)):
        for number, rate in enumerate(rates, 1):
            result.add({"congestion": "bbr", "round": number, "job": "1 stream down", "path": path,
                        "values": {"1 stream down": rate, "echo of 64 bytes p50": 100 / rate},
                        "cpu_s_per_gb": {"client": 2.0, "exit": rate}, "peak_mib": {"client": 10 * number, "exit": 5}})
    return result


def test_medians_ratios_and_usage():
    result = made([1, 3, 2], [10, 30, 20])
    assert result.median("1 stream down", "zks") == 2
    assert result.ratio("1 stream down", "zks", "chain") == pytest.approx(0.1)
    assert result.ratio("1 stream down", "zks", "somebody who was left out") is None
    assert result.cpu_sum("1 stream down", "zks") == 2 + 2
    assert result.cpu_sum("another job", "zks") is None
    assert result.cpu("1 stream down", "zks", "exit") == 2
    assert result.peak("zks", "client") == 30


def test_a_result_is_read_back_as_it_was(tmp_path):
    made([1, 2], [3, 4]).save(tmp_path)
    assert Result.load("proxies", tmp_path).content == made([1, 2], [3, 4]).content
    assert Result.load("nothing", tmp_path) is None


def test_a_table_has_a_row_for_each_path():
    table = page.measure_tables(made([1, 3, 2], [10, 30, 20]), "bbr")
    assert "| zks | 2 (1–3) |" in table and "| chain | 20 (10–30) |" in table


@pytest.mark.parametrize("value, more, said", [
    (2, True, "goal reached"), (1.2, True, "yes"), (0.9, True, "**short**"), (None, True, "not measured"),
    (1.2, False, "goal reached"), (1.8, False, "yes"), (2.1, False, "**short**")])
def test_what_is_said_of_a_claim(value, more, said):
    assert page.judged(value, *((1, 1.5) if more else (2, 1.5)), more) == said


def test_claims_have_columns_for_each_congestion_control():
    module = types.SimpleNamespace(claims=lambda result: [
        ("share", result.ratio("1 stream down", "zks", "chain"), 0.16, 0.3, " ×", True)])
    both = made([2, 2], [10, 10])
    for sample in made([1], [10]).samples:
        both.add({**sample, "congestion": "cubic"})
    table = page.claims_table([(module, both), (module, made([4], [10]))])
    assert table[0] == "| measure | at least | goal | bbr |  | cubic |  |"
    assert table[2:] == ["| share | 0.16 × | 0.3 × | 0.2 × | yes | 0.1 × | **short** |",
                         "| share | 0.16 × | 0.3 × | 0.4 × | goal reached |  |  |"]
    assert not page.claims_table([(types.SimpleNamespace(claims=lambda result: []), both)])


@pytest.mark.parametrize("ours, status", [([2.0], 0), ([1.1], 0), ([0.9], 1)])
def test_smoke_fails_below_half_of_what_was_recorded(monkeypatch, capsys, ours, status):
    monkeypatch.setattr(smoke, "measure", lambda: made(ours, [10]))
    monkeypatch.setattr(smoke.Result, "load", lambda name: made([2.0], [10]))
    assert smoke.run() == status
    assert ("less than half as good" in capsys.readouterr().out) == bool(status)


def test_percentiles_of_what_ping_printed():
    assert vpn.percentiles("".join(f"64 bytes: time={ms} ms\n" for ms in range(100, 0, -1))) == [50, 99]
    with pytest.raises(RuntimeError):
        vpn.percentiles("100% packet loss")


def test_stacks_are_folded_from_the_outside():
    assert flame.short("std::map<int, std::less<int> >::find(int const&) const+0x1f") == "std::map::find const"
    assert flame.short("(anonymous namespace)::F::operator()(int)") == "{anonymous}::F::operator()"
    folded = {("main", "read"): 3, ("main", "write"): 1}
    assert flame.boxes(folded) == [(0, 0, 4, "main"), (1, 0, 3, "read"), (1, 3, 1, "write")]
    assert flame.hottest(folded)[0] == (0.75, "read")
    assert "<title>read, 75.0%</title>" in flame.svg("client", folded)


def test_the_benchmarks_are_listed():
    listed = subprocess.run([REPOSITORY / "scripts" / "bench", "--list"], capture_output=True, text=True, check=True).stdout
    files = {path.stem for path in Path(REPOSITORY / "bench" / "suite").glob("*.py")}
    names = {line.split()[0] for line in listed.splitlines()}
    assert {"proxies", "vpn", "streams", "relay", "links"} <= names <= files | {"links"}
