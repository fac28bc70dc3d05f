"""ISO 8601 durations of a fixed length: days, hours, minutes, seconds and weeks."""

from __future__ import annotations

import re
from datetime import timedelta

_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
_WEEKS = re.compile(rf"P{_NUMBER}W", re.ASCII)
_DURATION = re.compile(rf"P(?:{_NUMBER}D)?(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """`P30D`, `PT5M`, `P1DT12H`, `P2W` as a length of time. ValueError with a sentence for anything else.

    Years and months are refused: their length depends on the day they start."""
    try:
        if weeks := _WEEKS.fullmatch(text):
            return timedelta(weeks=float(weeks[1]))
        parts = _DURATION.fullmatch(text)
        if parts is not None and any(parts.groups()) and not text.endswith("T"):
            days, hours, minutes, seconds = (float(part or 0) for part in parts.groups())
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("the duration is out of range") from None
    raise ValueError("a duration is ISO 8601 text in weeks, days, hours, minutes and seconds, such as PT5M or P30D")


def format_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads as `length`; `PT0S` for none."""
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    second_text = f"{seconds + length.microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".")
    parts = ((hours, f"{hours}H"), (minutes, f"{minutes}M"), (second_text != "0", f"{second_text}S"))
    time = "".join(text for present, text in parts if present)
    days = f"{length.days}D" if length.days else ""
    if not days and not time:
        return "PT0S"
    return "P" + days + ("T" + time if time else "")
