"""The Custom CRM contract over HTTP: every call of the port, and the traps of real servers (by their numbers)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from gateway.contracts.configuration import Connection
from gateway.contracts.keys import batch_id
from gateway.crm import answers
from gateway.crm.batches import BYTES_MAX, BYTES_MIN, halved, piece_end
from gateway.crm.client import Associated, CrmUser, Json, Made, Matches, Updated
from gateway.crm.errors import Call, CrmError, NotOffered, NoUsableId, Rejected, ServerError
from gateway.crm.transport import Answer, OnCall, Request, Transport

#: Reads the answer to one piece of a batch.
Take = Callable[[slice, Answer], None]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Items to send under one name. `keys`: their Idempotency-Keys; None for a reading call."""

    method: str
    path: str
    name: str
    items: Sequence[Any]
    keys: Sequence[str] | None = None
    creating: bool = False


class HttpCrm:
    """Satisfies crm/client.py's CrmClient."""

    def __init__(
        self, connection: Connection, *, timeout_s: float, concurrency: int, on_call: OnCall | None = None
    ) -> None:
        self._transport = Transport(connection, timeout_s=timeout_s, concurrency=concurrency, on_call=on_call)
        self._secret = connection.api_key
        #: Learned from a 413: trap 9.
        self._bytes_max = BYTES_MAX
        #: Learned from a PATCH /tasks/batch that another route swallowed: trap 1.
        self._batch_shadowed = False

    async def close(self) -> None:
        """Ends the connections."""
        await self._transport.close()

    # -- connection -------------------------------------------------------------------------------------------------

    async def health(self) -> Call:
        """GET /health: any 2xx. Trap 7: it can lie, so nothing but the status page believes it."""
        return (await self._send("GET", "/health")).call

    async def probe(self) -> Call:
        """An authenticated read: any complete answer that is neither weather nor 5xx says that the CRM is there."""
        try:
            return (await self._send("POST", "/tasks/batch", {"ids": []})).call
        except NotOffered:
            pass
        except Rejected as error:
            return error.call
        try:
            return (await self._send("GET", "/users")).call
        except (NotOffered, Rejected) as error:
            return error.call

    async def users(self) -> list[CrmUser] | None:
        """GET /users; trap 8: only 404, 405 and 501 mean that there are none, and not for ever."""
        try:
            answer = await self._send("GET", "/users")
        except NotOffered:
            return None
        return [_user(user_id, item) for user_id, item in answers.named(_listed(answer)).items()]

    # -- contacts and companies -------------------------------------------------------------------------------------

    async def find_contacts(self, contacts: Sequence[Json]) -> Matches:
        """POST /contacts/sync."""
        return await self._find("/contacts/sync", "contacts", contacts)

    async def create_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        """POST /contacts."""
        return await self._create("/contacts", "contacts", contacts, keys)

    async def find_companies(self, companies: Sequence[Json]) -> Matches:
        """POST /companies/sync."""
        return await self._find("/companies/sync", "companies", companies)

    async def create_companies(self, companies: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        """POST /companies."""
        return await self._create("/companies", "companies", companies, keys)

    async def update_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Updated:
        """PUT /contacts. Trap 3: an item's `success: false` stands inside a 200."""
        results: dict[str, bool] = {}
        calls = []

        def take(_: slice, answer: Answer) -> None:
            calls.append(answer.call)
            told = answers.named(answers.items_of(answer.body) or [], "crmId")
            results.update({crm_id: item.get("success") is not False for crm_id, item in told.items()})

        await self._in_pieces(_Batch("PUT", "/contacts", "contacts", contacts, keys), take)
        return Updated(results, calls)

    async def associate(self, pairs: Sequence[tuple[str, str]], *, keys: Sequence[str]) -> Associated:
        """POST /associations."""
        items = [{"contactCRMId": contact, "companyCRMId": company} for contact, company in pairs]
        failed: dict[tuple[str, str], str] = {}
        calls = []

        def take(piece: slice, answer: Answer) -> None:
            calls.append(answer.call)
            failed.update(answers.unlinked(answer.body, pairs[piece], self._secret))

        await self._in_pieces(_Batch("POST", "/associations", "associations", items, keys, creating=True), take)
        return Associated(failed, calls)

    async def _find(self, path: str, name: str, items: Sequence[Json]) -> Matches:
        crm_ids: dict[str, str] = {}
        calls = []

        def take(piece: slice, answer: Answer) -> None:
            calls.append(answer.call)
            # A page of text must not pass for "nobody like that": a twin would be made.
            crm_ids.update(answers.paired(_listed(answer), _external_ids(items[piece])))

        await self._in_pieces(_Batch("POST", path, name, items), take)
        return Matches(crm_ids, calls)

    async def _create(self, path: str, name: str, items: Sequence[Json], keys: Sequence[str]) -> Matches:
        crm_ids: dict[str, str] = {}
        calls = []

        def take(piece: slice, answer: Answer) -> None:
            calls.append(answer.call)
            made = answers.items_of(answer.body)
            if made is None:
                # Trap 5, for a whole piece.
                raise NoUsableId("the CRM's answer has no results", answer.call)
            crm_ids.update(answers.paired(made, _external_ids(items[piece])))

        try:
            await self._in_pieces(_Batch("POST", path, name, items, keys, creating=True), take)
        except CrmError as error:
            error.done = crm_ids
            raise
        return Matches(crm_ids, calls)

    async def _in_pieces(self, batch: _Batch, take: Take) -> None:
        """Sends the batch piece by piece, each answer taken before the next is sent; the first failing piece raises."""
        sizes = [len(orjson.dumps(item)) for item in batch.items]
        start, bytes_max = 0, self._bytes_max
        while start < len(sizes):
            piece = slice(start, piece_end(sizes, start, bytes_max=bytes_max))
            key = batch_id(batch.keys[piece]) if batch.keys is not None else None
            body = {batch.name: list(batch.items[piece])}
            try:
                answer = await self._send(batch.method, batch.path, body, key=key, creating=batch.creating)
            except Rejected as error:
                if error.call.status != 413 or piece.stop - piece.start == 1:
                    raise
                # Trap 9: this server's limit is lower than most.
                bytes_max = halved(sizes[piece])
                self._bytes_max = max(BYTES_MIN, min(self._bytes_max, bytes_max))
                continue
            take(piece, answer)
            start = piece.stop

    # -- activities and tasks ---------------------------------------------------------------------------------------

    async def create_activity(self, activity: Json, *, key: str) -> Made:
        """POST /activities."""
        return await self._made("/activities", activity, key)

    async def create_task(self, task: Json, *, key: str) -> Made:
        """POST /tasks."""
        return await self._made("/tasks", task, key)

    async def _made(self, path: str, body: Json, key: str) -> Made:
        answer = await self._send("POST", path, body, key=key, creating=True)
        crm_id = answers.made_id(answer.body)
        if crm_id is None:
            # Trap 5: something was made and nobody can say what.
            raise NoUsableId("the CRM answered 2xx without an id", answer.call)
        return Made(crm_id, answer.call)

    async def task(self, crm_id: str) -> Json | None:
        """GET /tasks/{id}."""
        try:
            answer = await self._one_task("GET", crm_id)
        except Rejected as error:
            if error.call.status == 404:
                return None
            raise
        found = answers.parsed(answer.body)
        if not isinstance(found, dict):
            raise _unreadable(answer)
        return found

    async def tasks(self, crm_ids: Sequence[str]) -> dict[str, Json]:
        """POST /tasks/batch: a bare array in any order, unknown ids left out (traps 2 and 3)."""
        found: dict[str, Json] = {}
        await self._in_pieces(
            _Batch("POST", "/tasks/batch", "ids", crm_ids),
            lambda _, answer: found.update(answers.named(_listed(answer))),
        )
        return found

    async def complete_task(self, crm_id: str, *, key: str) -> Call:
        """PATCH /tasks/{id}."""
        return (await self._one_task("PATCH", crm_id, {"completed": True}, key)).call

    async def complete_tasks(self, crm_ids: Sequence[str], *, keys: Sequence[str]) -> dict[str, bool]:
        """PATCH /tasks/batch; one by one where another route swallows it (trap 1) or one of them spoils it."""
        done: dict[str, bool] = {}
        sizes, start = [len(orjson.dumps(crm_id)) for crm_id in crm_ids], 0
        while start < len(crm_ids):
            piece = slice(start, piece_end(sizes, start, bytes_max=self._bytes_max))
            done |= await self._completed(crm_ids[piece], keys[piece])
            start = piece.stop
        return done

    async def _completed(self, crm_ids: Sequence[str], keys: Sequence[str]) -> dict[str, bool]:
        swallowed = self._batch_shadowed
        if not swallowed:
            try:
                together = await self._completed_together(crm_ids, keys)
            except (NotOffered, ServerError):
                swallowed = True
            except Rejected:
                pass
            else:
                if together is not None:
                    return together
                swallowed = True
        alone = {crm_id: await self._completed_alone(crm_id, key) for crm_id, key in zip(crm_ids, keys, strict=True)}
        # Only now: were the CRM out of order altogether, the single calls would have failed as well.
        self._batch_shadowed = swallowed
        return alone

    async def _completed_together(self, crm_ids: Sequence[str], keys: Sequence[str]) -> dict[str, bool] | None:
        """What became of each (trap 3: one that is left out was not completed); None for an answer of another call."""
        body = {"ids": list(crm_ids), "completed": True}
        answer = await self._send("PATCH", "/tasks/batch", body, key=batch_id(keys))
        updated = answers.items_of(answer.body)
        if updated is None:
            return None
        tasks = answers.named(updated)
        return {crm_id: crm_id in tasks and tasks[crm_id].get("completed") is not False for crm_id in crm_ids}

    async def _completed_alone(self, crm_id: str, key: str) -> bool:
        try:
            await self.complete_task(crm_id, key=key)
        except Rejected as error:
            if error.call.status == 404:
                return False
            raise
        return True

    async def _one_task(self, method: str, crm_id: str, body: Any = None, key: str | None = None) -> Answer:
        path = f"/tasks/{quote(crm_id, safe='')}"
        return await self._transport.send(Request(method, path, "/tasks/{id}", body, key, has_id=True))

    async def _send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, creating: bool = False
    ) -> Answer:
        return await self._transport.send(Request(method, path, path, body, key, creating=creating))


def _user(user_id: str, item: Json) -> CrmUser:
    name, email = (value if isinstance(value, str) else None for value in (item.get("name"), item.get("email")))
    return CrmUser(user_id, name or user_id, email)


def _external_ids(items: Sequence[Json]) -> set[object]:
    return {item.get("externalId") for item in items}


def _listed(answer: Answer) -> list[Json]:
    """The items of an answer to a reading call, which has to list them."""
    items = answers.items_of(answer.body)
    if items is None:
        raise _unreadable(answer)
    return items


def _unreadable(answer: Answer) -> ServerError:
    """A 2xx to a reading call that does not say what was asked: the CRM's mistake, like a 500."""
    call = answer.call
    return ServerError(f"the CRM's answer to {call.method} {call.path} is not what the contract says", call)
