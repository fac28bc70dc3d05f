"""Compares what was sent with what a CRM holds, by message ids of the form m-<contact>-<number>."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost`, `invented`: message ids; `copies`: extra records in all; `inversions`: first copies out of order."""

    lost: frozenset[str]
    invented: frozenset[str]
    copies: int
    inversions: int

    @property
    def flawless(self) -> bool:
        return not (self.lost or self.invented or self.copies or self.inversions)


def verdict(accepted: Iterable[str], activities: Iterable[Mapping[str, Any]]) -> Verdict:
    """`activities`: as the CRM holds them, oldest first."""
    wanted = frozenset(accepted)
    held = [str(activity["metadata"]["messageId"]) for activity in activities]
    inversions, latest, seen = 0, dict[str, int](), set[str]()
    for name in held:
        if name in seen:
            continue
        seen.add(name)
        _, contact, number = name.split("-")
        inversions += int(number) < latest.get(contact, -1)
        latest[contact] = max(int(number), latest.get(contact, -1))
    copies = sum(count - 1 for count in Counter(held).values())
    return Verdict(wanted - seen, frozenset(seen - wanted), copies, inversions)
