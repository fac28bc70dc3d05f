"""Whether a CRM holds what was sent: everything, once, in order, at the right contact, for the right owner. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a CRM holds because of an event."""

    ACTIVITY = "activity"
    TASK = "task"
    COMPLETION = "completed task"
    CONTACT = "contact"


#: Kinds whose order in the CRM has to be the sender's, contact by contact.
ORDERED = (Kind.ACTIVITY, Kind.TASK)


@dataclass(frozen=True, slots=True)
class Fact:
    """One record as its sender or the CRM tells it. `name` tells it from every other of its kind.

    `contact`: the e-mail address. `looks`: what both sides say of it and must agree on."""

    kind: Kind
    name: str
    contact: str
    looks: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, by the names of the records concerned; nothing of it: proven."""

    #: Sent, and the CRM does not hold it.
    lost: tuple[str, ...] = ()
    #: Held more often than it was sent.
    doubled: tuple[str, ...] = ()
    #: Held after something of the same contact that was sent later.
    out_of_order: tuple[str, ...] = ()
    #: Held, but for another contact, owner, type or text; or never sent at all.
    wrong: tuple[str, ...] = ()
    #: Refused by the CRM, and not among the dead letters.
    unreported: tuple[str, ...] = ()
    #: How many the CRM refused, as was expected.
    refused: int = 0

    @property
    def proven(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.out_of_order or self.wrong or self.unreported)


def prove(
    sent: Sequence[Fact], held: Sequence[Fact], *, refused: Collection[str], dead_letters: Collection[str]
) -> Verdict:
    """Compares what was sent, each contact's in order, with what the CRM holds, in the order it was written.

    `refused`: names of facts that the CRM refuses: nobody misses them there, but they have to be dead letters."""
    expected = {_key(fact): fact for fact in sent}
    times_sent, times_held = Counter(map(_key, sent)), Counter(map(_key, held))
    return Verdict(
        lost=_names(
            key for key in times_sent if key[1] not in refused for _ in range(times_sent[key] - times_held[key])
        ),
        doubled=_names(key for key in times_sent for _ in range(times_held[key] - times_sent[key])),
        out_of_order=_out_of_order(sent, held),
        wrong=_names(_key(fact) for fact in held if not _agree(fact, expected.get(_key(fact)))),
        unreported=tuple(name for name in refused if name not in dead_letters),
        refused=len(refused),
    )


_Key = tuple[Kind, str]


def _key(fact: Fact) -> _Key:
    return fact.kind, fact.name


def _names(keys: Iterable[_Key]) -> tuple[str, ...]:
    return tuple(f"{kind.value} {name}" for kind, name in keys)


def _agree(held: Fact, sent: Fact | None) -> bool:
    return sent is not None and held.contact == sent.contact and held.looks == sent.looks


def _out_of_order(sent: Sequence[Fact], held: Sequence[Fact]) -> tuple[str, ...]:
    """Records written after one of their contact and kind that was sent later. A second copy is no record by itself."""
    place = {_key(fact): number for number, fact in enumerate(sent)}
    latest: dict[tuple[Kind, str], int] = defaultdict(lambda: -1)
    late = []
    seen = set()
    for fact in held:
        key = _key(fact)
        if fact.kind not in ORDERED or key not in place or key in seen:
            continue
        seen.add(key)
        lane = fact.kind, fact.contact
        if place[key] < latest[lane]:
            late.append(key)
        latest[lane] = max(latest[lane], place[key])
    return _names(late)
