"""The Custom CRM contract over HTTP: every call of the port, and the traps of real servers (by their numbers)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson

from gateway.contracts.configuration import Connection
from gateway.contracts.keys import batch_id
from gateway.crm import answers
from gateway.crm.batches import BYTES_MAX, BYTES_MIN, pieces
from gateway.crm.client import Associated, CrmUser, Json, Made, Matches, Updated
from gateway.crm.errors import Call, CrmError, NotOffered, NoUsableId, Rejected, ServerError
from gateway.crm.transport import Answer, OnCall, Request, Transport


class HttpCrm:
    """Satisfies crm/client.py's CrmClient."""

    def __init__(
        self, connection: Connection, *, timeout_s: float, concurrency: int, on_call: OnCall | None = None
    ) -> None:
        self._transport = Transport(connection, timeout_s=timeout_s, concurrency=concurrency, on_call=on_call)
        #: Learned from a 413: trap 9.
        self._bytes_max = BYTES_MAX
        #: Learned from the first PATCH /tasks/batch that another route swallowed: trap 1.
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
        listed = answers.array_of(answer.body)
        if listed is None:
            listed = answers.results_of(answer.body)
        if listed is None:
            raise Rejected("the CRM's answer to GET /users is not a list", answer.call)
        users = []
        for item in listed:
            user_id, email = answers.usable_id(item.get("id")), item.get("email")
            if user_id is not None:
                name = item.get("name")
                users.append(CrmUser(user_id, str(name or user_id), email if isinstance(email, str) else None))
        return users

    # -- contacts and companies -------------------------------------------------------------------------------------

    async def find_contacts(self, contacts: Sequence[Json]) -> Matches:
        """POST /contacts/sync."""
        return await self._matches("/contacts/sync", "contacts", contacts)

    async def create_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        """POST /contacts."""
        return await self._matches("/contacts", "contacts", contacts, keys)

    async def find_companies(self, companies: Sequence[Json]) -> Matches:
        """POST /companies/sync."""
        return await self._matches("/companies/sync", "companies", companies)

    async def create_companies(self, companies: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        """POST /companies."""
        return await self._matches("/companies", "companies", companies, keys)

    async def update_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Updated:
        """PUT /contacts. Trap 3: an item's `success: false` stands inside a 200."""
        results: dict[str, bool] = {}
        calls = []
        for answer in await self._batch("PUT", "/contacts", "contacts", contacts, keys):
            calls.append(answer.call)
            for item in answers.results_of(answer.body) or []:
                crm_id = answers.usable_id(item.get("crmId"))
                if crm_id is not None:
                    results[crm_id] = item.get("success") is not False
        return Updated(results, calls)

    async def associate(self, pairs: Sequence[tuple[str, str]], *, keys: Sequence[str]) -> Associated:
        """POST /associations. Trap 3: failures stand in `errors`, beside `success: true`; trap 10: its own names."""
        items = [{"contactCRMId": contact, "companyCRMId": company} for contact, company in pairs]
        failed: dict[tuple[str, str], str] = {}
        calls = []
        for answer in await self._batch("POST", "/associations", "associations", items, keys, creating=True):
            calls.append(answer.call)
            said = answers.parsed(answer.body)
            if not isinstance(said, dict):
                continue
            errors = said.get("errors")
            for item in errors if isinstance(errors, list) else []:
                if isinstance(item, dict):
                    pair = (str(item.get("contactCRMId")), str(item.get("companyCRMId")))
                    failed[pair] = str(item.get("error") or item.get("message") or "refused")
            if said.get("success") is False and not failed:
                failed |= {pair: answers.error_text(answer.body) or "refused" for pair in pairs}
        return Associated(failed, calls)

    async def _matches(self, path: str, name: str, items: Sequence[Json], keys: Sequence[str] | None = None) -> Matches:
        """Pairs replies with requests by externalId; trap 3: what is not in the reply was not found or not made."""
        crm_ids: dict[str, str] = {}
        calls = []
        try:
            for answer in await self._batch("POST", path, name, items, keys, creating=keys is not None):
                calls.append(answer.call)
                results = answers.results_of(answer.body)
                if results is None and keys is not None:
                    raise NoUsableId("the CRM's answer has no results", answer.call)
                crm_ids |= _paired(results or [])
        except CrmError as error:
            error.done = crm_ids | error.done
            raise
        return Matches(crm_ids, calls)

    async def _batch(
        self,
        method: str,
        path: str,
        name: str,
        items: Sequence[Json],
        keys: Sequence[str] | None,
        *,
        creating: bool = False,
    ) -> list[Answer]:
        """The answers of the pieces. A failing piece raises; `done` of its error says what those before it made."""
        sizes = [len(orjson.dumps(item)) + 1 for item in items]
        given: list[Answer] = []
        for piece in pieces(sizes, bytes_max=self._bytes_max):
            key = batch_id(keys[piece]) if keys is not None else None
            try:
                given.append(await self._send(method, path, {name: list(items[piece])}, key=key, creating=creating))
            except Rejected as error:
                if error.call.status != 413 or piece.stop - piece.start == 1:
                    error.done = _done(given)
                    raise
                # Trap 9: the server's limit is lower than most; remembered for this connection.
                self._bytes_max = max(BYTES_MIN, self._bytes_max // 2)
                half = (piece.stop - piece.start + 1) // 2
                for part in (slice(piece.start, piece.start + half), slice(piece.start + half, piece.stop)):
                    part_keys = keys[part] if keys is not None else None
                    try:
                        given += await self._batch(method, path, name, items[part], part_keys, creating=creating)
                    except CrmError as failed:
                        failed.done = _done(given) | failed.done
                        raise
            except CrmError as error:
                error.done = _done(given)
                raise
        return given

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
        return found if isinstance(found, dict) else None

    async def tasks(self, crm_ids: Sequence[str]) -> dict[str, Json]:
        """POST /tasks/batch: a bare array in any order, unknown ids left out (traps 2 and 3)."""
        found: dict[str, Json] = {}
        for piece in pieces([len(crm_id) + 3 for crm_id in crm_ids], bytes_max=self._bytes_max):
            answer = await self._send("POST", "/tasks/batch", {"ids": list(crm_ids[piece])})
            for item in answers.array_of(answer.body) or []:
                task_id = answers.usable_id(item.get("id"))
                if task_id is not None:
                    found[task_id] = item
        return found

    async def complete_task(self, crm_id: str, *, key: str) -> Call:
        """PATCH /tasks/{id}."""
        return (await self._one_task("PATCH", crm_id, {"completed": True}, key)).call

    async def complete_tasks(self, crm_ids: Sequence[str], *, keys: Sequence[str]) -> dict[str, bool]:
        """PATCH /tasks/batch; one by one where another route swallows it (trap 1)."""
        done: dict[str, bool] = {}
        for piece in pieces([len(crm_id) + 3 for crm_id in crm_ids], bytes_max=self._bytes_max):
            ids = list(crm_ids[piece])
            listed = await self._completed_together(ids, keys[piece])
            if listed is None:
                done |= {
                    crm_id: await self._completed_alone(crm_id, key)
                    for crm_id, key in zip(ids, keys[piece], strict=True)
                }
            else:
                named = {answers.usable_id(item.get("id")): item for item in listed}
                done |= {crm_id: crm_id in named and named[crm_id].get("completed") is not False for crm_id in ids}
        return done

    async def _completed_together(self, ids: list[str], keys: Sequence[str]) -> list[Json] | None:
        """The tasks updated; None where the CRM cannot do it in one call."""
        if self._batch_shadowed:
            return None
        try:
            answer = await self._send("PATCH", "/tasks/batch", {"ids": ids, "completed": True}, key=batch_id(keys))
            listed = answers.array_of(answer.body)
        except (NotOffered, ServerError):
            listed = None
        self._batch_shadowed = listed is None
        return list(listed) if listed is not None else None

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


def _paired(results: Sequence[Json]) -> dict[str, str]:
    pairs = {}
    for item in results:
        external_id, crm_id = answers.usable_id(item.get("externalId")), answers.usable_id(item.get("crmId"))
        if external_id is not None and crm_id is not None:
            pairs[external_id] = crm_id
    return pairs


def _done(given: Sequence[Answer]) -> dict[str, str]:
    done: dict[str, str] = {}
    for answer in given:
        done |= _paired(answers.results_of(answer.body) or [])
    return done
