"""Answers of Python's own libraries that the schedule tests compare with.

`fires`: each line of standard input is a JSON list [expression, zone, start, count]; each line of
output is the JSON list of the next fires after start that the cronsim library finds, as Unix
seconds, or null if it refuses the expression.

`zones`: prints the release of the time zone data and, for every zone, the offsets from UTC of the
years asked for, as found by asking zoneinfo for each day and narrowing each change down.

Only the tzdata package is consulted, never the machine's own zone files, which may be older.
"""

import hashlib
import importlib.resources
import json
import sys
import zoneinfo
from datetime import datetime

import tzdata
from cronsim import CronSim, CronSimError

DAY = 86_400


def fires():
    for line in sys.stdin:
        expression, zone, start, count = json.loads(line)
        begin = datetime.fromtimestamp(start, zoneinfo.ZoneInfo(zone))
        try:
            found = CronSim(expression, begin)
            answer = [int(at.timestamp()) for at, _ in zip(found, range(count))]
        except CronSimError:
            answer = None
        print(json.dumps(answer))


def offset(zone, at):
    return int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds())


def changes(zone, first, last):
    """[[second, offset], ...]: the offset at `first`, then each change until `last`."""
    known = offset(zone, first)
    found = [[first, known]]
    for low in range(first, last, DAY):
        high = min(low + DAY, last)
        after = offset(zone, high)
        if after == known:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(zone, middle) == known:
                low = middle
            else:
                high = middle
        known = after
        found.append([high, known])
    return found


def zones(first, last):
    data = importlib.resources.files("tzdata") / "zoneinfo"
    by_content, answer = {}, {}
    for name in sorted(zoneinfo.available_timezones()):
        content = hashlib.sha256(data.joinpath(*name.split("/")).read_bytes()).hexdigest()
        if content not in by_content:
            by_content[content] = changes(zoneinfo.ZoneInfo(name), first, last)
        answer[name] = by_content[content]
    print(json.dumps({"release": tzdata.IANA_VERSION, "zones": answer}))


if __name__ == "__main__":
    zoneinfo.reset_tzpath(to=())
    match sys.argv[1:]:
        case ["fires"]:
            fires()
        case ["zones", first, last]:
            zones(int(first), int(last))
        case _:
            sys.exit(__doc__)
