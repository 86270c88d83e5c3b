"""Snakemake ends when it is told to, whatever its main thread is doing."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from weightwise.invocation import end_when_told


class Scheduler:
    """What Snakemake's has: a lock that is no one's twice, and a handler that takes it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.told = threading.Event()

    def exit_gracefully(self, *_):
        with self.lock:
            self.told.set()


@pytest.fixture
def handler():
    """The handler of SIGTERM, put back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda answer: signal.signal(signal.SIGTERM, answer)
    signal.signal(signal.SIGTERM, before)


def test_a_signal_while_the_lock_is_held_is_answered_when_it_is_free(handler):
    scheduler = Scheduler()
    handler(scheduler.exit_gracefully)
    end_when_told(scheduler)
    with scheduler.lock:
        # With Snakemake's own handler this thread would wait for itself for ever.
        os.kill(os.getpid(), signal.SIGTERM)
        assert not scheduler.told.wait(0.05)
    assert scheduler.told.wait(10)


def test_whoever_else_answers_is_left_alone(handler):
    scheduler = Scheduler()
    answers = []
    handler(lambda *_: answers.append("mine"))
    end_when_told(scheduler)
    end_when_told(object())
    os.kill(os.getpid(), signal.SIGTERM)
    assert answers == ["mine"]
    assert not scheduler.told.is_set()
