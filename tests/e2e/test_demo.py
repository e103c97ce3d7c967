# SPDX-License-Identifier: MIT
"""`demo`: the main job without any set-up, and nothing left behind."""
import json
import shlex

from harness.process import CLIENT_PROGRAM, ReadyProgram, clean_environment, run


def start_demo(directory):
    temporary = directory / "temporary"
    temporary.mkdir()
    demo = ReadyProgram("demo", [CLIENT_PROGRAM, "demo", "--listen", "127.0.0.1:0"], directory,
                        environment=clean_environment(TMPDIR=str(temporary), HOME=str(directory)))
    return demo, temporary


def test_the_first_line_to_try_works(tmp_path, programs):
    demo, temporary = start_demo(tmp_path)
    programs.append(demo)
    lines = [line.strip() for line in demo.stdout().splitlines() if line.strip().startswith("curl ")]
    command = shlex.split(lines[0])
    assert command[1:3] == ["--socks5-hostname", "{}:{}".format(*demo.address())]
    got = run([command[0], "-sS", "--noproxy", "", *command[1:]])
    assert json.loads(got.stdout)["version"], got.stderr
    assert any(temporary.iterdir()), "its keys live there as long as it runs"
    assert demo.stop() == 0
    assert not any(temporary.iterdir()) and not demo.ready_path.exists()


def test_two_demos_at_once(tmp_path, programs):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        demo, _ = start_demo(tmp_path / name)
        programs.append(demo)
    assert all(program.alive() for program in programs)
