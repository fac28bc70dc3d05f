"""Whose name stands on what the gateway writes: identities and users mapped to CRM users, and the default owner."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.contracts.configuration import DefaultOwner, OwnerEntry
from gateway.contracts.errors import NotFound, Unacceptable
from gateway.crm.client import CrmUser
from gateway.operations import connection
from gateway.operations.services import Services


@dataclass(frozen=True, slots=True)
class OwnerChoice:
    """A CRM user by id or by e-mail; neither: deliberately none."""

    crm_user_id: str | None
    crm_user_email: str | None
    name: str | None


async def entries(
    services: Services, workspace: str, kind: str, *, limit: int, cursor: str | None
) -> tuple[list[OwnerEntry], str | None]:
    """The mappings of a kind, "identities" or "users"."""
    return await services.store.owners.list(workspace, kind, limit=limit, cursor=cursor)


async def entry(services: Services, workspace: str, kind: str, source: str, entry_id: str) -> OwnerEntry:
    """One mapping, exactly of that source. NotFound when there is none."""
    return await services.store.owners.get(workspace, kind, source, entry_id)


async def put(
    services: Services, workspace: str, kind: str, source: str, entry_id: str, choice: OwnerChoice
) -> OwnerEntry:
    """Maps an identity or user; what waited for it goes on. Unacceptable when the CRM has no such user."""
    mapped = OwnerEntry(source, entry_id, await _crm_user_id(services, workspace, choice), choice.name)
    async with services.change():
        await services.store.owners.put(workspace, kind, mapped)
    return mapped


async def delete(services: Services, workspace: str, kind: str, source: str, entry_id: str) -> None:
    """Forgets a mapping. NotFound when there is none."""
    async with services.change():
        await services.store.owners.delete(workspace, kind, source, entry_id)


async def default(services: Services, workspace: str) -> DefaultOwner:
    """The owner where nobody else is named. NotFound when none was chosen."""
    found = await services.store.owners.default(workspace)
    if found is None:
        raise NotFound("no default owner is chosen")
    return found


async def put_default(services: Services, workspace: str, choice: OwnerChoice) -> DefaultOwner:
    """Chooses the default owner. Unacceptable when the CRM has no such user."""
    chosen = DefaultOwner(await _crm_user_id(services, workspace, choice), choice.name)
    async with services.change():
        await services.store.owners.set_default(workspace, chosen)
    return chosen


async def delete_default(services: Services, workspace: str) -> None:
    """No default owner any more. NotFound when none was chosen."""
    await default(services, workspace)
    async with services.change():
        await services.store.owners.set_default(workspace, None)


async def _crm_user_id(services: Services, workspace: str, choice: OwnerChoice) -> str | None:
    """The id to store. An id is taken unchecked where the CRM does not list users or cannot be asked now: an outage
    must not keep an operator from mapping, and a wrong id shows as unmapped later. An e-mail cannot be looked up then.
    """
    if choice.crm_user_id is None and choice.crm_user_email is None:
        return None
    try:
        users = await connection.crm_users(services, workspace)
    except Unacceptable:
        if choice.crm_user_email is not None:
            raise
        return choice.crm_user_id
    if choice.crm_user_email is not None:
        return _by_email(users, choice.crm_user_email)
    if users is not None and all(user.id != choice.crm_user_id for user in users):
        raise Unacceptable(f"The CRM has no user {choice.crm_user_id}: GET /v1/owners/crm-users lists those it has.")
    return choice.crm_user_id


def _by_email(users: list[CrmUser] | None, email: str) -> str:
    if users is None:
        raise Unacceptable("The CRM does not list its users, so none can be found by e-mail: give crmUserId.")
    wanted = email.strip().casefold()
    found = [user.id for user in users if (user.email or "").strip().casefold() == wanted]
    if not found:
        raise Unacceptable(f"The CRM has no user with the e-mail {email}: GET /v1/owners/crm-users lists those it has.")
    if len(found) > 1:
        raise Unacceptable(f"The CRM has {len(found)} users with the e-mail {email}: give crmUserId.")
    return found[0]
