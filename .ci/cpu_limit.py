"""pytest plugin for runs that ask which lines are reached: each test is left after some seconds of CPU time."""

import os
import signal

import pytest


def _leave(signum, frame):
    pytest.skip("left at the limit of CPU time")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Interrupt plain Python loops; nothing else runs for long where kernels are not compiled."""
    signal.signal(signal.SIGPROF, _leave)
    seconds = float(os.environ["SECONDS_PER_TEST"])
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)  # again, should a callback swallow the first
    yield
    signal.setitimer(signal.ITIMER_PROF, 0.0)
