# SPDX-License-Identifier: MIT
"""What programs say about themselves: `status` over the control socket, and /metrics as an independent parser
(Debian's python3-prometheus-client) reads it."""
import contextlib
import http.client
import json
import re
import socket
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from .process import CLIENT_PROGRAM, run, wait_until

UP, NOT_UP, WRONG_USAGE = 0, 1, 2
METRICS = ("--metrics", "127.0.0.1:0")


def ask(state, *options, program=CLIENT_PROGRAM):
    return run([program, "status", "--state-dir", state, *options])


def status(program):
    """The JSON of a running program, whatever its state."""
    asked = ask(program.state, "--json")
    assert asked.returncode in (UP, NOT_UP), asked.stderr
    found = json.loads(asked.stdout)
    assert asked.returncode == (UP if found["state"] == "up" else NOT_UP)
    return found


def wait_for_status(program, condition, seconds, what):
    def look():
        found = status(program)
        return found if condition(found) else None

    return wait_until(look, seconds, what)


def metrics_address(program):
    """Where a program with --metrics on a free port serves them: its log says so."""
    found = wait_until(lambda: re.search(r"metrics on http://(\S+):(\d+)/metrics", program.stderr()), 10,
                       f"{program.name} says where its metrics are")
    return found[1], int(found[2])


def health(program):
    """The HTTP status of /healthz."""
    host, port = metrics_address(program)
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request("GET", "/healthz")
        return connection.getresponse().status


def metrics_text(program):
    host, port = metrics_address(program)
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


class Metrics:
    """One scrape: `["name"]` is the sum over all labels, `of("name", label=value)` one sample."""

    def __init__(self, text):
        self.text = text
        families = list(text_string_to_metric_families(text))
        self.families = {family.name: family for family in families}
        assert len(self.families) == len(families), "a name twice, or a counter named as a gauge is"
        self.samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
                        for family in self.families.values() for sample in family.samples}

    def __getitem__(self, name):
        values = [value for (sample, _), value in self.samples.items() if sample == name]
        assert values, f"no metric {name}"
        return sum(values)

    def of(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]


def scrape(program):
    return Metrics(metrics_text(program))


def exchange(address, request, seconds=10):
    """Sends raw bytes and returns what comes until the end of the connection."""
    with socket.create_connection(address, timeout=seconds) as sock:
        sock.sendall(request)
        answer = b""
        try:
            while more := sock.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        return answer
