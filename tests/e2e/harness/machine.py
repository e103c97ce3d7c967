# SPDX-License-Identifier: MIT
"""A host of a World as a machine of its own, on which commands run as a guide writes them.

It has process, mount and network namespaces: what a command writes below /etc, /usr/local and /var/lib stays in the
machine, /run is empty at first, and `pidof` finds no program of another test. `sudo` runs its command, and
`systemctl` is `systemctl_double.py`. Everything in the machine ends with it.
"""
import sys
from pathlib import Path

from .process import BUILD, Program, clean_environment, run, wait_until

DOUBLE = Path(__file__).with_name("systemctl_double.py")
OVERLAID = ("/etc", "/usr/local", "/var/lib")
SETUP = r"""
set -eu
for name in {overlaid}; do
  mkdir -p {root}/upper$name {root}/work$name
  mount -t overlay overlay -o lowerdir=$name,upperdir={root}/upper$name,workdir={root}/work$name $name
done
mount -t tmpfs none /run
touch {root}/up
exec sleep infinity
"""


class Machine:
    def __init__(self, world, host, files=None):
        self.host = host
        self.root = world.directory / f"{host}-machine"
        self.home = self.root / "home"
        self.stubs = self.root / "stubs"
        for folder in (self.home, self.stubs):
            folder.mkdir(parents=True)
        self._stub("sudo", '#!/bin/sh\nexec "$@"\n')
        self._stub("systemctl", f'#!/bin/sh\nexec {sys.executable} {DOUBLE} "$@"\n')
        setup = SETUP.format(overlaid=" ".join(OVERLAID), root=self.root)
        self.init = Program(f"{host}-machine", world.argv(host, "unshare", "--mount", "--pid", "--fork", "--kill-child",
                                                          "--mount-proc", "sh", "-c", setup), world.directory)
        world.programs.append(self.init)
        wait_until((self.root / "up").exists, 30, f"the machine {host} is up: {self.init.stderr()}")
        unshare = self.init.pid  # `ip netns exec` became it
        children = wait_until(Path(f"/proc/{unshare}/task/{unshare}/children").read_text, 10, "its first process")
        self.pid = int(children.split()[0])
        for path, text in (files or {}).items():
            self.write(path, text)

    def _stub(self, name, text):
        (self.stubs / name).write_text(text)
        (self.stubs / name).chmod(0o755)

    def write(self, path, text):
        """A file as the machine sees it."""
        self.run(f"mkdir -p $(dirname {path}) && rm -f {path} && cat > {path}", input=text)

    def argv(self, text):
        return ["nsenter", "-t", self.pid, "--mount", "--pid", "--net", "--wdns=" + str(self.home), "bash", "-o", "pipefail",
                "-euc", text]

    def environment(self):
        return clean_environment(HOME=str(self.home), PATH=f"{self.stubs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                 LANG="C.UTF-8")

    def run(self, text, seconds=60, **options):
        """The output of commands that have to succeed."""
        done = run(self.argv(text), seconds, env=self.environment(), **options)
        assert done.returncode == 0, f"{self.host}$ {text}\nstatus {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name, text, ready):
        """Begins a command that does not end by itself, and waits for `ready(its log)`. Ends with stop()."""
        program = Program(f"{self.host}-{name}", self.argv(f"echo $$ > {self.root}/{name}.pid; exec {text}"),
                          self.root, environment=self.environment())
        wait_until(lambda: ready(program.stderr()) or not program.alive(), 60,
                   f"{text} is ready; its log:\n{program.stderr()}")
        assert program.alive(), f"{self.host}$ {text}\nended with {program.process.returncode}\n{program.stderr()}"
        program.inner = (self.root / f"{name}.pid").read_text().strip()
        return program

    def stop(self, program):
        """SIGTERM, as seen from inside, and a clean end."""
        self.run(f"kill -TERM {program.inner}")
        status = program.wait(30)
        program.forget()
        assert status == 0, program.stderr()

    def install(self):
        """What README's last line of installing does, to /usr/local of this machine."""
        self.run(f"cmake --install {BUILD} --prefix /usr/local >/dev/null", cwd="/")
