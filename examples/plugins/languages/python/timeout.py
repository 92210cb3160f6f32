"""Limits a run to a multiple of the p99 of its job's history."""

import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.timeout_policy import Decision
from wit_world.imports import config

MAX = 0xFFFF_FFFF


def number(what, text, least, most):
    """What is raised is the error that a person reads."""
    value = int(text) if re.fullmatch("0|[1-9][0-9]{0,9}", text) else MAX + 1
    if not least <= value <= most:
        raise Err(f"{what}: {text}, has to be a whole number from {least} to {most}")
    return value


def settings():
    def read(key, absent, least, most):
        text = config.get(key)
        return number(f"config.{key}", absent if text is None else text, least, most)

    return (
        read("factor", "3", 1, 100),
        read("floor_ms", "60000", 1, MAX),
        read("min_runs", "5", 1, 100),
    )


class TimeoutPolicy(exports.TimeoutPolicy):
    def decide(self, run, declared_ms, past):
        factor, floor, min_runs = settings()
        for key, text in run.labels:
            if key == "timeout-factor":
                factor = number("label timeout-factor", text, 1, 100)
        successes = max(past.runs - past.failures, 0)
        if successes < min_runs:
            return None
        limit = min(past.p99_ms * factor, MAX)
        reason = f"{run.job_name}: {factor} times the p99 of {successes} runs, {past.p99_ms} ms"
        if past.failures > successes:
            limit = min(limit * 2, MAX)
            reason += ", doubled since most runs failed"
        if limit < floor:
            limit = floor
            reason += ", raised to the floor"
        if declared_ms is not None and declared_ms < limit:
            limit = declared_ms
            reason += ", cut at what the job declares"
        return Decision(
            limit_ms=limit,
            warn_ms=limit - limit // 5,
            grace_ms=30_000 if limit >= 3_600_000 else None,
            reason=f"{reason}: {limit} ms",
        )


class Lifecycle(exports.Lifecycle):
    def validate_config(self):
        settings()
