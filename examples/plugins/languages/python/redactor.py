"""Hides access keys and GitHub tokens, wherever a read of the output was cut. See README.md."""

import re

from wit_world import exports
from wit_world.exports.output_redaction import Edit, Flush, Verdict

RULES = re.compile(rb"(?P<aws>AKIA[0-9A-Z]{16})|(?P<github>ghp_[0-9A-Za-z]{36})")
LONGEST = 40


class OutputRedaction(exports.OutputRedaction):
    def begin(self, run, channel):
        pass

    def scan(self, window, fresh_from, flush, carry):
        # What may be the beginning of a token stays undecided until more has come.
        sure = len(window) if flush == Flush.LAST else max(len(window) - LONGEST + 1, 0)
        found = [match for match in RULES.finditer(window) if match.start() < sure]
        edits = [
            Edit(start=match.start(), len=len(match[0]), replacement="[token]", rule=match.lastgroup)
            for match in found
        ]
        return Verdict(edits=edits, consumed=max([sure, *(match.end() for match in found)]), carry=b"")
