# SPDX-License-Identifier: MIT
"""The suite must turn red: a relay double with one bug after the other, each with the test that has to catch it; and the
same double without a bug, with which all of those tests are green."""
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SUITE = HERE.parent
CAUGHT_BY = {
    "one nonce for all": "test_registration.py::test_a_signature_does_not_work_twice",
    "signatures are not looked at": "test_registration.py::test_registration_needs_the_room_key[host]",
    "any key opens a room": "test_registration.py::test_a_key_of_one_room_opens_no_other",
    "nine instances": "test_registration.py::test_eight_instances_a_room",
    "the older socket stays": "test_registration.py::test_a_newer_socket_of_an_instance_replaces_the_old",
    "strangers take places": "test_registration.py::test_strangers_in_a_room_keep_no_exit_out",
    "long messages on control sockets": "test_registration.py::test_a_control_socket_takes_no_long_message[text-registered]",
    "always the same instance": "test_knocks.py::test_instances_are_knocked_on_in_turn",
    "any instance for a named one": "test_knocks.py::test_a_named_instance_is_knocked_on",
    "only one instance is knocked on": "test_knocks.py::test_a_knock_that_is_not_taken_goes_to_the_next_instance",
    "pairs work twice": "test_knocks.py::test_unknown_used_and_foreign_pairs_are_gone",
    "any room's pairs": "test_knocks.py::test_unknown_used_and_foreign_pairs_are_gone",
    "the same key for every pair": "test_pairs.py::test_both_halves_get_the_same_new_key",
    "each half another key": "test_pairs.py::test_both_halves_get_the_same_new_key",
    "neighbours change places": "test_pairs.py::test_the_end_comes_after_what_was_sent_before[close-1000]",
    "long messages are cut in two": "test_pairs.py::test_messages_pass_unchanged_in_order",
    "every code is passed on": "test_pairs.py::test_close_codes[4404-4000]",
    "other text is ignored": "test_pairs.py::test_any_other_text_is_1008[hello-client]",
    "nobody is too far behind": "test_marks.py::test_more_than_the_window_behind_is_4413[262144]",
    "the newest mark counts": "test_marks.py::test_the_oldest_mark_counts",
    "any echo will do": "test_marks.py::test_marks_of_both_directions_are_apart",
    "the key goes behind its message": "test_epochs.py::test_both_halves_get_the_same_next_key[up]",
    "the next key waits for nobody": "test_epochs.py::test_the_next_key_is_held_back_until_both_have_answered[client]",
    "any key_seen will do": "test_epochs.py::test_a_key_seen_that_has_no_place_is_1008[client-of the next epoch]",
    "epochs have eight bits": "test_epochs.py::test_epochs_past_255",
    "now and then to another room": "test_rooms.py::test_rooms_at_once",
}


def verdict(bug, tests):
    """pytest's status and text for `tests` against the double. A test that would hang is caught by its time-out."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    paths = os.pathsep.join(str(path) for path in (SUITE, SUITE.parent / "e2e"))
    double = subprocess.Popen([sys.executable, HERE / "double_relay.py", str(port), *([bug] if bug else [])],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env={**os.environ, "PYTHONPATH": paths})
    try:
        assert double.stdout.readline() == "ready\n"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist",
             "-c", str(SUITE / "pytest.ini"), "--rootdir", str(SUITE), f"--relay=ws://127.0.0.1:{port}",
             "--rotate-bytes=65536", "--rooms=20", "--timeout=60", *(str(SUITE / test) for test in tests)],
            capture_output=True, text=True, timeout=240)
    finally:
        double.stdin.close()
        double.stdout.close()
        try:
            double.wait(5)
        except subprocess.TimeoutExpired:
            double.kill()
            double.wait()
    return done.returncode, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_double_without_a_bug_is_green():
    tests = sorted(set(CAUGHT_BY.values()))
    status, shown = verdict(None, tests)
    assert status == 0, shown
    assert f"{len(tests)} passed" in shown, "each was there to be run"


@pytest.mark.parametrize("bug", CAUGHT_BY)
def test_a_seeded_bug_turns_it_red(bug):
    status, shown = verdict(bug, [CAUGHT_BY[bug]])
    assert status == 1, f"not caught: {shown}"
    assert "1 failed" in shown, shown
