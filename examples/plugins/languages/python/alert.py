"""Tells a channel of the first failure in a row, and of the recovery. See README.md."""

import json

from wit_world import exports
from wit_world.exports.run_end import Delivery
from wit_world.imports import config

FAILURES = ("failed", "timed_out", "lost")


class RunEnd(exports.RunEnd):
    def on_end(self, run, end):
        failed = end.state in FAILURES
        recovered = end.state == "succeeded" and end.previous_state in FAILURES
        if not recovered and not (failed and end.failures_in_a_row == 1):
            return []
        text = f"{run.job_name} works again" if recovered else f"{run.job_name} {end.state}: {end.cause}"
        return [
            Delivery(
                target=json.loads(config.get("target") or '"default"'),
                dedupe_key=run.job_id,
                content_type="application/json",
                body=json.dumps({"text": text}, separators=(",", ":"), ensure_ascii=False).encode(),
                headers=[],
            )
        ]
