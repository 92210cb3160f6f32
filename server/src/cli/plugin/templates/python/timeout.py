"""Limits each run by what the job took before."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.timeout_policy import Decision
from wit_world.imports import config

# Runs below which history says nothing.
ENOUGH_RUNS = 20
MAX = 0xFFFF_FFFF


def factor():
    """What is raised is the error that a person reads."""
    text = config.get("factor") or "3"
    value = json.loads(text)
    if type(value) is not int or not 1 <= value <= 100:
        raise Err(f"config.factor: {text}, has to be 1 to 100")
    return value


class TimeoutPolicy(exports.TimeoutPolicy):
    def decide(self, run, declared_ms, past):
        if past.runs < ENOUGH_RUNS:
            return None  # keep what the job declares
        times = factor()
        usual = past.p99_ms
        return Decision(
            limit_ms=min(usual * times, MAX if declared_ms is None else declared_ms),
            warn_ms=None,
            grace_ms=None,
            reason=f"{times} times the p99 of {usual} ms",
        )


class Lifecycle(exports.Lifecycle):
    def validate_config(self):
        factor()
