# SPDX-License-Identifier: MIT
"""What an attacker does again and again while a test looks at somebody else."""
import contextlib
import threading
import time


@contextlib.contextmanager
def under(deed, rate):
    """Calls `deed()` so many times a second, on a thread of its own. It must not fail, and is done at least once."""
    over = threading.Event()
    done, failures = [0], []

    def work():
        due = time.monotonic()
        try:
            while not over.is_set():
                deed()
                done[0] += 1
                due = max(due + 1 / rate, time.monotonic() - 0.1)  # what it is late it makes up for, for a moment
                over.wait(due - time.monotonic())
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
    assert not failures and done[0] > 0 and not thread.is_alive(), failures
