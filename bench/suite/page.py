# SPDX-License-Identifier: MIT
"""docs/benchmarks.md from docs/benchmarks/*.json: the goals with what was measured, then a section for each benchmark.
One benchmark run again renews its own tables and leaves the others."""
import statistics

from . import plot
from .results import FOLDER, Result

PAGE = FOLDER.parent / "benchmarks.md"
NOTES = FOLDER / "notes.md"  # written by hand: why a row falls short, and what was tried
INTRODUCTION = """# Benchmarks

Written by `scripts/bench`; [CONTRIBUTING.md](../CONTRIBUTING.md#benchmarks) says how to run it. Each table was made in one run
on one machine, all paths taking turns within each round. Figures are medians (least–most). Compare rows of one table: absolute
figures are this machine's. Bytes are counted where they arrive. CPU seconds per GB are what the processes of a path used
for 10⁹ bytes carried one way; peak memory is the largest of all jobs. Raw samples are in [benchmarks/](benchmarks/).
"""


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cell(values):
    if not values:
        return ""
    middle = number(statistics.median(values))
    return f"{middle} ({number(min(values))}–{number(max(values))})" if len(values) > 1 else middle


def measure_tables(result, congestion):
    """A table for each unit, paths as rows."""
    lines, under = [], result.under(congestion)
    for unit in dict.fromkeys(unit for _, unit, _ in result.content["measures"]):
        names = [name for name, its, _ in result.content["measures"] if its == unit]
        lines += ["", f"| {unit}, {congestion} | {' | '.join(names)} |", "|---|" + "--:|" * len(names)]
        for path in result.paths:
            cells = [cell(under.values(name, path)) for name in names]
            if any(cells):
                lines.append(f"| {path} | {' | '.join(cells)} |")
    return lines


def usage_table(result, congestion):
    jobs = list(dict.fromkeys(sample["job"] for sample in result.samples if sample["cpu_s_per_gb"]))
    if not jobs:
        return []
    under = result.under(congestion)
    lines = ["", f"| CPU s per GB, {congestion} | process | {' | '.join(jobs)} | peak, MiB |",
             "|---|---|" + "--:|" * (len(jobs) + 1)]
    for path in result.paths:
        for role in result.roles(path):
            used = [under.cpu(job, path, role) for job in jobs]
            shown = ["" if value is None else f"{value:.2f}" for value in used]
            lines.append(f"| {path} | {role} | {' | '.join(shown)} | {number(result.peak(path, role))} |")
    return lines


def plots(result, wanted):
    """Writes an SVG for each measure of `wanted`; the lines that show them."""
    lines = []
    for measure in wanted:
        unit = next((unit for name, unit, _ in result.content["measures"] if name == measure), "")
        rows = [(path, values, path.startswith("zks")) for path in result.paths if (values := result.values(measure, path))]
        if rows:
            file = f"{result.name}-{measure.replace(' ', '-').replace(',', '')}.svg"
            title = f"{measure}, {result.congestions()[0]}"
            (FOLDER / file).write_text(plot.bars(title, unit, rows))
            lines += ["", f"![{measure}](benchmarks/{file})"]
    return lines


def section_tables(result):
    lines = []
    for congestion in result.congestions():
        lines += measure_tables(result, congestion)
    for congestion in result.congestions():
        lines += usage_table(result, congestion)
    return lines


def section(module, result):
    lines = [f"## {module.TITLE}", "", module.ABOUT.strip(), ""]
    lines += [f"- {what}: {text}" for what, text in result.content["header"].items()]
    lines += [f"- left out: {peer}, {why}" for peer, why in result.content["left_out"].items()]
    if hasattr(module, "section"):
        return [*lines, *module.section(result), ""]
    lines += [f"- {what}: {fact}" for what, fact in result.facts.items()]
    return lines + section_tables(result) + plots(result, getattr(module, "PLOTS", [])) + [""]


def judged(value, least, goal, more):
    """What is said of a claim's value."""
    if value is None:
        return "not measured"
    reached = (lambda bound: value >= bound) if more else (lambda bound: value <= bound)
    return "goal reached" if reached(goal) else "yes" if reached(least) else "**short**"


def claims_table(found):
    """`found`: [(module, result)]; a module's `claims(result)` are [(measure, value or None, at least, goal, unit of the
    three, whether more is better)]. Two columns for each congestion control; nothing there when there are no claims."""
    congestions = list(dict.fromkeys(name for _, result in found for name in result.congestions()))
    lines = []
    for module, result in found:
        for same in zip(*(module.claims(result.under(name)) for name in congestions)):
            what, _, least, goal, unit, more = same[0]
            cells = [what, f"{number(least)}{unit}", f"{number(goal)}{unit}"]
            for name, (_, value, *_) in zip(congestions, same):
                shown = "" if value is None else f"{number(value)}{unit}"
                cells += [shown, judged(value, least, goal, more) if name in result.congestions() else ""]
            lines.append(f"| {' | '.join(cells)} |")
    head = ["measure", "at least", "goal", *(cell for name in congestions for cell in (name, ""))]
    return lines and [f"| {' | '.join(head)} |", "|---|--:|--:|" + "--:|---|" * len(congestions), *lines]


def report(module, result):
    """What is printed after a run."""
    if hasattr(module, "section"):
        lines = module.section(result)
    else:
        lines = [*section_tables(result), "", *(f"- {what}: {fact}" for what, fact in result.facts.items())]
    return [*lines, "", *claims_table([(module, result)])]


def assemble(modules):
    """Writes the page from the results that are there. `modules` in the page's order."""
    found = [(module, result) for module in modules if (result := Result.load(module.NAME))]
    lines = [INTRODUCTION, "## What it should show, and does", "",
             "Ratios of medians within one run, under each congestion control. Where more is better, *at least* and *goal* are lower",
             "bounds, otherwise upper ones.", "", *claims_table(found), ""]
    if NOTES.exists():
        lines += [NOTES.read_text().strip(), ""]
    for module, result in found:
        lines += section(module, result)
    PAGE.write_text("\n".join(lines).rstrip("\n") + "\n")
