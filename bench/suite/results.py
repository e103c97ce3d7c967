# SPDX-License-Identifier: MIT
"""A benchmark's result: raw samples, kept as docs/benchmarks/NAME.json, and medians of them.

  {"benchmark": NAME, "header": {what: text}, "left_out": {peer: why}, "paths": [name], "measures": [[name, unit, more?]],
   "samples": [{"congestion", "round", "job", "path", "values": {measure: number}, "cpu_s_per_gb": {role: number},
                "peak_mib": {role: number}}],
   "facts": {name: anything that a benchmark counts once}}
"""
import json
import statistics

from . import REPOSITORY

FOLDER = REPOSITORY / "docs" / "benchmarks"


class Result:
    def __init__(self, content):
        self.content = content

    @classmethod
    def new(cls, name, header, left_out=None):
        return cls({"benchmark": name, "header": header, "left_out": left_out or {}, "paths": [], "measures": [],
                    "samples": [], "facts": {}})

    @classmethod
    def load(cls, name, folder=FOLDER):
        """None when there is none."""
        file = folder / f"{name}.json"
        return cls(json.loads(file.read_text())) if file.exists() else None

    def save(self, folder=FOLDER):
        """One line a measure and a sample, for diffs that can be read."""
        folder.mkdir(parents=True, exist_ok=True)
        listed = ("measures", "samples")
        parts = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in self.content.items() if key not in listed]
        for key in listed:
            lines = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in self.content[key])
            parts.append(f'"{key}": [\n  {lines}\n ]')
        (folder / f"{self.name}.json").write_text("{" + ",\n ".join(parts) + "}\n")

    name = property(lambda self: self.content["benchmark"])
    samples = property(lambda self: self.content["samples"])
    paths = property(lambda self: self.content["paths"])
    facts = property(lambda self: self.content["facts"])

    def add_measures(self, jobs):
        for job in jobs:
            for measure in job.measures:
                if list(measure) not in self.content["measures"]:
                    self.content["measures"].append(list(measure))

    def add(self, sample):
        if sample["path"] not in self.paths:
            self.paths.append(sample["path"])
        self.samples.append(sample)

    def congestions(self):
        return list(dict.fromkeys(sample["congestion"] for sample in self.samples))

    def under(self, congestion):
        """The same with the samples under that congestion control alone."""
        return Result({**self.content, "samples": [sample for sample in self.samples if sample["congestion"] == congestion]})

    def _first(self):
        """Samples under the first congestion control, which figures are of; `under()` gives another's."""
        first = next(iter(self.congestions()), None)
        return [sample for sample in self.samples if sample["congestion"] == first]

    def values(self, measure, path):
        """All rounds' values."""
        return [sample["values"][measure] for sample in self._first() if sample["path"] == path and measure in sample["values"]]

    def median(self, measure, path):
        """None where nothing was measured."""
        values = self.values(measure, path)
        return statistics.median(values) if values else None

    def ratio(self, measure, path, beside):
        """Median of `path` over median of `beside`, or None."""
        above, below = self.median(measure, path), self.median(measure, beside)
        return above / below if above is not None and below else None

    def cpu(self, job, path, role):
        """Median CPU seconds per GB of a role on a path, or None."""
        values = [sample["cpu_s_per_gb"][role] for sample in self._first()
                  if (sample["job"], sample["path"]) == (job, path) and role in sample["cpu_s_per_gb"]]
        return statistics.median(values) if values else None

    def cpu_sum(self, job, path):
        """Of all roles together, or None."""
        used = [self.cpu(job, path, role) for role in self.roles(path)]
        return sum(used) if used and None not in used else None

    def peak(self, path, role):
        """The largest of all samples, MiB."""
        return max(sample["peak_mib"].get(role, 0) for sample in self.samples if sample["path"] == path)

    def roles(self, path):
        return list(dict.fromkeys(role for sample in self.samples if sample["path"] == path
                                  for role in sample["peak_mib"]))
