"""Hides tokens, and words that the job configures, in the output of runs."""

import json
import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.output_redaction import Edit, Flush, Verdict
from wit_world.imports import config

TOKEN = rb"tok_[A-Za-z0-9]{16,64}"
LONGEST_TOKEN = 68

# Shorter words would hide half of any output, longer ones fill half of a window.
MIN_WORD_BYTES = 4
MAX_WORD_BYTES = 8192

# What the host takes at once.
MAX_EDITS = 4096


def word(at, value):
    if not isinstance(value, str):
        raise Err(f"config.words[{at}]: invalid type: {json.dumps(value)}, expected a string")
    text = value.encode()
    if len(text) < MIN_WORD_BYTES:
        raise Err(f"config.words[{at}]: {len(text)} bytes, has to be at least {MIN_WORD_BYTES}")
    if len(text) > MAX_WORD_BYTES:
        raise Err(f"config.words[{at}]: {len(text)} bytes, has to be at most {MAX_WORD_BYTES}")
    return text


def words():
    """What is raised is the error that a person reads."""
    text = config.get("words") or "[]"
    values = json.loads(text)
    if not isinstance(values, list):
        raise Err(f"config.words: invalid type: {text}, expected a list of strings")
    return [word(at, value) for at, value in enumerate(values)]


def everywhere(pattern):
    """Found at every place, so that one match does not hide another's beginning."""
    return re.compile(b"(?=(" + pattern + b"))")


class Rules:
    def __init__(self):
        # A longer word goes before one that it begins with.
        longest_first = sorted(words(), key=len, reverse=True)
        self.patterns = [("token", everywhere(TOKEN))]
        if longest_first:
            self.patterns.append(("word", everywhere(b"|".join(map(re.escape, longest_first)))))
        self.longest = max([LONGEST_TOKEN, *map(len, longest_first)])

    def matches(self, window, sure):
        """Start, end and rule of those that begin before `sure`, in order."""
        found = [
            (*match.span(1), rule)
            for rule, pattern in self.patterns
            for match in pattern.finditer(window)
            if match.start() < sure
        ]
        return sorted(found, key=lambda match: match[0])


# Of this stream. Each call has a `self` of its own.
rules = None


class OutputRedaction(exports.OutputRedaction):
    def begin(self, run, channel):
        global rules
        rules = Rules()

    def scan(self, window, fresh_from, flush, carry):
        # What may be the beginning of a match stays undecided until more has come.
        sure = len(window) if flush == Flush.LAST else max(len(window) - rules.longest + 1, 0)
        # So many bytes belong to a match of the window before, whose label is written.
        end = int.from_bytes(carry, "big")
        hidden = [[0, end, ""]] if end else []
        for start, match_end, rule in rules.matches(window, sure):
            if start >= end:
                if len(hidden) == MAX_EDITS:
                    # The rest comes again, or is hidden as a whole.
                    if flush == Flush.MORE:
                        sure = start
                    else:
                        end = sure = len(window)
                    break
                hidden.append([start, match_end, rule])
            end = max(end, match_end)
            hidden[-1][1] = end
        if hidden:
            hidden[-1][1] = min(end, sure)
        edits = [
            Edit(start=start, len=stop - start, replacement=rule and f"[redacted:{rule}]", rule=rule)
            for start, stop, rule in hidden
            if stop > start
        ]
        ahead = max(end - sure, 0)
        return Verdict(edits=edits, consumed=sure, carry=ahead.to_bytes(2, "big") if ahead else b"")


class Lifecycle(exports.Lifecycle):
    def validate_config(self):
        words()
