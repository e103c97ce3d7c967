# SPDX-License-Identifier: MIT
"""The benchmark suite behind scripts/bench.

  rounds.py      the loop: paths in turns within each round, what they used of CPU and memory beside what they carried
  usage.py       CPU seconds and peak memory of processes
  results.py     raw samples as JSON, and medians of them
  machine.py     what a figure's header says about machine, programs and kernel
  page.py        docs/benchmarks.md from the JSON files; plot.py its plots
  load.py        bench_load as jobs; peers.py, tor_network.py what it goes through; links.py emulated links
  smoke.py       two ratios for CI
  flame.py       flame graphs from perf
  vpn.py, ...    one file a benchmark: NAME, TITLE, ABOUT, run(options) and claims(result)
"""
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "e2e"))  # harness: programs, namespaces, certificates
