"""Contact updates: what is wanted against what is written, coalesced into batches (one writer a partition)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

import orjson
import structlog

from consumers.connection import Stopping
from consumers.outcomes import full_jitter
from consumers.tenures import Tenures
from consumers.toolbox import Toolbox
from gateway.contracts.deliveries import DeadLetter, WantedUpdate
from gateway.contracts.keys import creation_id
from gateway.contracts.states import Reason, Step, Target
from gateway.crm.errors import CrmError, NotOffered, ServerError

log = structlog.get_logger(__name__)

BATCH_MAX = 100
POLL_EVERY_S = 1.0
#: Updates wanted within this time of each other travel together.
COALESCE_S = 0.02


class ContactUpdater:
    """Writes wanted updates by PUT /contacts. `wake` says that a settlement has just wanted one."""

    def __init__(self, tools: Toolbox, tenures: Tenures) -> None:
        self._tools, self._tenures = tools, tenures
        self._wanted = asyncio.Event()

    def wake(self, _workspace: str) -> None:
        """Looks soon instead of at the next poll."""
        self._wanted.set()

    async def run(self) -> None:
        """For ever; cancelled to stop. An update cut off is wanted again: writing it twice changes nothing."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), POLL_EVERY_S)
            await self._tools.clock.sleep(COALESCE_S)
            self._wanted.clear()
            with suppress(Stopping):
                await asyncio.gather(*(self._drain(name) for name in self._tools.configuration().workspaces))

    async def _drain(self, workspace: str) -> None:
        while self._tools.connections[workspace].gate.is_open:
            partitions = self._tenures.partitions(workspace)
            if not partitions:
                return
            updates = await self._tools.persist(
                lambda p=partitions: self._tools.store.contact_updates.wanted(workspace, p, limit=BATCH_MAX)  # type: ignore[misc]
            )
            if not updates:
                return
            await self._write(workspace, updates)

    async def _write(self, workspace: str, updates: Sequence[WantedUpdate]) -> None:
        """One batch; when the CRM refuses it whole, each by itself, so that only the culprit is rejected."""
        try:
            results = await self._put(workspace, updates)
        except NotOffered as error:
            # Without this call there are no updates: the step is left out, and said once in a while.
            self._tools.warnings.warning("contact updates not offered by the CRM", error=error.detail)
            await self._tools.persist(lambda: self._tools.store.contact_updates.written(updates))
            return
        except CrmError as error:
            if len(updates) > 1:
                for update in updates:
                    await self._write(workspace, [update])
                return
            await self._reject(updates[0], error.detail, error.call.answer)
            return
        good = [update for update in updates if results.get(update.crm_id) is True]
        if good:
            await self._tools.persist(lambda: self._tools.store.contact_updates.written(good))
        for update in updates:
            if results.get(update.crm_id) is not True:
                said = "success: false" if update.crm_id in results else "nothing about this contact"
                await self._reject(update, f"the CRM answered {said}", None)

    async def _put(self, workspace: str, updates: Sequence[WantedUpdate]) -> Mapping[str, bool]:
        items = [{"crmId": update.crm_id, **update.fields} for update in updates]
        keys = [creation_id(workspace, "contact", u.contact_key, f"update {u.version}") for u in updates]
        attempts = self._tools.policies(workspace).retry_attempts
        connection = self._tools.connections[workspace]
        for attempt in range(1, attempts + 1):
            try:
                return (await connection.call(lambda crm: crm.update_contacts(items, keys=keys))).results
            except ServerError:
                if attempt == attempts or len(updates) > 1:
                    raise
                await self._tools.clock.sleep(full_jitter(attempt, self._tools.random))
        raise AssertionError("retry.attempts is at least one")

    async def _reject(self, update: WantedUpdate, detail: str, answer: str | None) -> None:
        letter = DeadLetter(
            id=str(uuid.uuid5(uuid.UUID(update.event), f"contacts {update.version}")),
            workspace=update.workspace,
            event=update.event,
            target=Target.CONTACTS,
            step=Step.CALL,
            reason=Reason.REJECTED,
            detail=detail,
            attempt_count=1,
            answer=answer,
            position=update.position,
            raw=_as_json(update),
            headers=(),
            at=self._tools.clock.now(),
        )
        log.warning("contact update rejected", workspace=update.workspace, event=update.event)
        await self._tools.persist(lambda: self._tools.store.contact_updates.rejected(update, letter))


def _as_json(update: WantedUpdate) -> bytes:
    return orjson.dumps({"crmId": update.crm_id, **update.fields})
