"""Tells a target of a job's first failure, and of its recovery."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.run_end import Delivery
from wit_world.imports import config

FAILURES = ("failed", "timed_out", "lost", "missed")


def target():
    """What is raised is the error that a person reads."""
    text = config.get("target") or '"default"'
    value = json.loads(text)
    if not isinstance(value, str):
        raise Err(f"config.target: invalid type: {text}, expected a string")
    return value


def transition(end):
    failed_before = end.previous_state in FAILURES
    if end.state in FAILURES:
        return None if failed_before else "failure"
    return "recovery" if failed_before and end.state == "succeeded" else None


class RunEnd(exports.RunEnd):
    def on_end(self, run, end):
        to = target()
        event = transition(end)
        if event is None:
            return []
        body = {"event": event, "run": run.run_id, "text": f"{run.job_name} {end.state}: {end.cause}"}
        return [
            Delivery(
                target=to,
                dedupe_key=f"{run.job_id}/{event}",
                content_type="application/json",
                body=json.dumps(body, ensure_ascii=False).encode(),
                headers=[],
            )
        ]


class Lifecycle(exports.Lifecycle):
    def validate_config(self):
        target()
