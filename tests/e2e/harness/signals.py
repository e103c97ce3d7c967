# SPDX-License-Identifier: MIT
"""Signals as a program expects them that a user starts in a terminal. A child inherits which signals are ignored and
which are blocked: under nohup, in a shell's background job and on many CI runners that is SIGINT, and a program that
leaves its action alone, such as workerd, can then not be ended by it.
"""
import signal

# Python ignores these itself, and subprocess gives children the default action of them (restore_signals).
OF_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


def _still_ignored(number, frame):
    """An action in place of "ignore", with the same effect here; exec() makes the default of it."""


def inherit_defaults():
    """From now on children of this process begin with the default action of every signal, none of them blocked."""
    for number in signal.valid_signals() - OF_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _still_ignored)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
