"""/v1/dead-letters: what died, with its original bytes."""

from __future__ import annotations

import base64

from pydantic import Field

from gateway.api.documents import Document, Instant, Page, PageQuery
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts import deliveries as contracts
from gateway.contracts.access import Scope
from gateway.contracts.log import Position
from gateway.contracts.states import Reason, Step, Target
from gateway.operations import deliveries as operations
from gateway.store.dead_letters import DeadLetterFilter


class RecordPosition(Document):
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int


class DeadLetterQuery(PageQuery):
    """Which dead letters: everything given must match. `from` inclusive, `to` exclusive, by the time of death."""

    target: Target | None = None
    step: Step | None = None
    reason: Reason | None = None
    event: str | None = None
    start: Instant | None = Field(None, alias="from")
    end: Instant | None = Field(None, alias="to")


class DeadLetter(Document):
    """What died, at which step and why. `target` null: a body that was not understood."""

    id: str
    event: str | None
    target: Target | None
    step: Step
    reason: Reason
    detail: str
    attempt_count: int
    answer: str | None
    record: RecordPosition
    at: Instant


class WholeDeadLetter(DeadLetter):
    """The same with the sender's bytes in base64."""

    raw: str


class DeadLetterList(Page[DeadLetter]):
    """The dead letters that match, newest first."""


async def list_dead_letters(call: Call[DeadLetterQuery, None]) -> DeadLetterList:
    """The dead letters that match, newest first."""
    query = call.query
    wanted = DeadLetterFilter(
        target=query.target,
        step=query.step,
        reason=query.reason,
        event=query.event,
        start=query.start,
        end=query.end,
    )
    found, following = await operations.dead_letters(
        call.services, call.workspace, wanted, limit=query.limit, cursor=query.cursor
    )
    return DeadLetterList(data=[_document(letter) for letter in found], next=following)


async def get_dead_letter(call: Call[NoQuery, None]) -> WholeDeadLetter:
    """One dead letter with its original bytes."""
    letter = await operations.dead_letter(call.services, call.workspace, call.path["id"])
    return WholeDeadLetter(**dict(_document(letter)), raw=base64.b64encode(letter.raw).decode())


def record_of(position: Position) -> RecordPosition:
    """A record's place as a document."""
    return RecordPosition(topic=position.topic, partition=position.partition, offset=position.offset)


def _document(letter: contracts.DeadLetter) -> DeadLetter:
    return DeadLetter(
        id=letter.id,
        event=letter.event,
        target=letter.target,
        step=letter.step,
        reason=letter.reason,
        detail=letter.detail,
        attempt_count=letter.attempt_count,
        answer=letter.answer,
        record=record_of(letter.position),
        at=letter.at,
    )


ROUTES = (
    Route(
        "GET",
        "/v1/dead-letters",
        "List the dead letters that match, newest first",
        list_dead_letters,
        Scope.READ,
        query=DeadLetterQuery,
        answer=DeadLetterList,
    ),
    Route(
        "GET",
        "/v1/dead-letters/{id}",
        "See a dead letter with its original bytes",
        get_dead_letter,
        Scope.READ,
        answer=WholeDeadLetter,
        reserved=("causes", "requeue", "discard"),
    ),
)
