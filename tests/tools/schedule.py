"""Says what is wrong with an EventBridge Scheduler expression; no linter looks inside the string.

The grammar is the one of the EventBridge Scheduler user guide, "Schedule types in EventBridge Scheduler".
"""

from __future__ import annotations

import re

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

# Field, its least and greatest value, and the names that may stand for the values from the least upwards.
FIELDS: list[tuple[str, int, int, list[str]]] = [
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, MONTHS),
    ("day of week", 1, 7, WEEKDAYS),
    ("year", 1970, 2199, []),
]


def fault(expression: str) -> str | None:
    """What is wrong with a repeating schedule, or None."""
    if rate := re.fullmatch(r"rate\((\d+) (?:minute|hour|day)s?\)", expression):
        return None if int(rate[1]) > 0 else "a rate must be positive"
    if not (cron := re.fullmatch(r"cron\((.*)\)", expression)):
        return "neither cron(…) nor rate(…)"
    fields = cron[1].split(" ")
    if len(fields) != len(FIELDS):
        return f"cron has {len(FIELDS)} fields, not {len(fields)}"
    if (fields[2] == "?") == (fields[4] == "?"):
        return "exactly one of day of month and day of week must be ?"
    for text, (name, least, greatest, names) in zip(fields, FIELDS):
        if not all(_part_is_right(part, name, least, greatest, names) for part in text.split(",")):
            return f"{text!r} is no {name}"
    return None


def _part_is_right(part: str, name: str, least: int, greatest: int, names: list[str]) -> bool:
    """Whether one of a field's parts is a value, a range, a step, or one of the two day fields' special forms."""

    def value(text: str) -> int | None:
        number = names.index(text) + least if text in names else int(text) if re.fullmatch(r"\d{1,4}", text) else None
        return number if number is not None and least <= number <= greatest else None

    if part == "?" or part == "*":
        return part == "*" or name.startswith("day")
    if name == "day of month" and re.fullmatch(r"L|LW|(\d+)W", part):
        return part.startswith("L") or value(part[:-1]) is not None
    if name == "day of week" and part == "L":
        return True
    if name == "day of week" and (nth := re.fullmatch(r"(\w+)(?:#([1-5])|L)", part)):
        return value(nth[1]) is not None
    span, step, every = part.partition("/")
    if step and not re.fullmatch(r"[1-9]\d*", every):
        return False
    if span == "*":
        return bool(step)
    first, dash, last = span.partition("-")
    low = value(first)
    high = value(last) if dash else low
    return low is not None and high is not None and low <= high
