# SPDX-License-Identifier: MIT
"""What stands above every table: machine, kernel, versions, and how it was measured."""
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

from harness.process import CLIENT_PROGRAM

from . import REPOSITORY

# What prints a program's version, and the package that has it.
VERSIONS = {
    "iperf3": ["iperf3", "--version"],
    "openssl": ["openssl", "version"],
    "ssh": ["ssh", "-V"],
    "openvpn": ["openvpn", "--version"],
    "wireguard-go": ["wireguard-go", "--version"],
    "shadowsocks-libev": ["ss-server", "-h"],
    "v2ray": ["v2ray", "-version"],
    "tor": ["tor", "--version"],
    "nginx": ["nginx", "-v"],
    "chisel": ["chisel", "--version"],
    "wstunnel": ["wstunnel", "--version"],
    "workerd": [REPOSITORY / "worker" / "node_modules" / "workerd" / "bin" / "workerd", "--version"],
}


def version(program):
    command = VERSIONS[program]
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), None)


def missing(program, source):
    """None when `program` is there, otherwise why a peer is left out."""
    return None if shutil.which(program) else f"no `{program}` here ({source})"


def _commit():
    """With "-dirty" where what is built differs from it: the results themselves are in the repository."""
    git = ["git", "-C", REPOSITORY]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if found.returncode:
        return "not from a checkout"
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src", "apps", "bench", "CMakeLists.txt"], check=False)
    return found.stdout.strip() + ("-dirty" if changed.returncode else "")


def header(options, programs, where):
    """{what: text}. `programs` are keys of VERSIONS; `where` says over what the bytes went."""
    cpu = next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
               if line.startswith("model name"))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    zks = subprocess.run([CLIENT_PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"date": time.strftime("%Y-%m-%d"),
            "machine": f"{cpu}, {os.cpu_count()} CPUs, {memory:.0f} GiB, kernel {platform.release()}; {where}",
            "rounds": f"{options.rounds}, {options.seconds:g} s for each throughput figure",
            "load average before": f"{os.getloadavg()[0]:.1f}",
            "zks": f"{zks} ({_commit()})",
            **{program: found for program in programs if (found := version(program))}}
