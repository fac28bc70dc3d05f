"""/v1/owners: mappings of identities and users to CRM users, the default owner, and the CRM's users."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from gateway.api.connection import CrmUserDocument, users_of
from gateway.api.documents import Document, Id, Page, PageQuery, Query
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.contracts.configuration import OwnerEntry
from gateway.contracts.native import SOURCE_BYTES_MAX
from gateway.operations import connection
from gateway.operations import owners as operations

_KINDS = {"kind": ("identities", "users")}


class OwnerBody(Document):
    """A CRM user: by `crmUserId`, by `crmUserEmail`, or `"crmUserId": null` for deliberately none."""

    crm_user_id: Id | None = None
    crm_user_email: Annotated[str, Field(min_length=3, max_length=320)] | None = None
    name: str | None = Field(None, max_length=1024)

    @model_validator(mode="after")
    def _one_way(self) -> OwnerBody:
        given = self.model_fields_set & {"crm_user_id", "crm_user_email"}
        if len(given) != 1 or ("crm_user_email" in given and self.crm_user_email is None):
            raise ValueError("give either crmUserId (null for deliberately none) or crmUserEmail")
        return self

    def choice(self) -> operations.OwnerChoice:
        """The same for the operations."""
        return operations.OwnerChoice(self.crm_user_id, self.crm_user_email, self.name)


class Owner(Document):
    """A mapping. `source` null: it holds for every source. `crmUserId` null: deliberately none."""

    source: str | None
    id: str
    crm_user_id: str | None
    name: str | None


class OwnerList(Page[Owner]):
    """The mappings of a kind."""


class DefaultOwnerDocument(Document):
    """The owner where nobody else is named. `crmUserId` null: deliberately none."""

    crm_user_id: str | None
    name: str | None


class CrmUserList(Page[CrmUserDocument]):
    """The CRM's users; `supported` false where it does not offer them."""

    supported: bool


class SourceQuery(Query):
    """Which source an entry is for; absent: for every source."""

    source: str | None = Field(None, max_length=SOURCE_BYTES_MAX)

    @property
    def scope(self) -> str:
        """The source as the store names it."""
        return self.source or ""


def _document(entry: OwnerEntry) -> Owner:
    return Owner(source=entry.source or None, id=entry.id, crm_user_id=entry.crm_user_id, name=entry.name)


async def list_owners(call: Call[PageQuery, None]) -> OwnerList:
    """The mappings of a kind."""
    entries, following = await operations.entries(
        call.services, call.workspace, call.path["kind"], limit=call.query.limit, cursor=call.query.cursor
    )
    return OwnerList(data=[_document(entry) for entry in entries], next=following)


async def get_owner(call: Call[SourceQuery, None]) -> Owner:
    """One mapping."""
    path = call.path
    return _document(await operations.entry(call.services, call.workspace, path["kind"], call.query.scope, path["id"]))


async def put_owner(call: Call[SourceQuery, OwnerBody]) -> Owner:
    """Maps an identity or a user."""
    path = call.path
    return _document(
        await operations.put(
            call.services, call.workspace, path["kind"], call.query.scope, path["id"], call.body.choice()
        )
    )


async def delete_owner(call: Call[SourceQuery, None]) -> None:
    """Forgets a mapping."""
    path = call.path
    await operations.delete(call.services, call.workspace, path["kind"], call.query.scope, path["id"])


async def get_default(call: Call[NoQuery, None]) -> DefaultOwnerDocument:
    """The default owner."""
    found = await operations.default(call.services, call.workspace)
    return DefaultOwnerDocument(crm_user_id=found.crm_user_id, name=found.name)


async def put_default(call: Call[NoQuery, OwnerBody]) -> DefaultOwnerDocument:
    """Chooses the default owner."""
    chosen = await operations.put_default(call.services, call.workspace, call.body.choice())
    return DefaultOwnerDocument(crm_user_id=chosen.crm_user_id, name=chosen.name)


async def delete_default(call: Call[NoQuery, None]) -> None:
    """No default owner any more."""
    await operations.delete_default(call.services, call.workspace)


async def list_crm_users(call: Call[NoQuery, None]) -> CrmUserList:
    """The CRM's users, asked now."""
    users = await connection.crm_users(call.services, call.workspace)
    return CrmUserList(data=users_of(users), supported=users is not None)


ROUTES = (
    Route(
        "GET",
        "/v1/owners/crm-users",
        "List the CRM's users, asked now",
        list_crm_users,
        Scope.READ,
        answer=CrmUserList,
    ),
    Route("GET", "/v1/owners/default", "See the default owner", get_default, Scope.READ, answer=DefaultOwnerDocument),
    Route(
        "PUT",
        "/v1/owners/default",
        "Choose the default owner",
        put_default,
        body=OwnerBody,
        answer=DefaultOwnerDocument,
    ),
    Route("DELETE", "/v1/owners/default", "Choose no default owner", delete_default),
    Route(
        "GET",
        "/v1/owners/{kind}",
        "List the mappings of identities or users",
        list_owners,
        Scope.READ,
        query=PageQuery,
        answer=OwnerList,
        choices=_KINDS,
    ),
    Route(
        "GET",
        "/v1/owners/{kind}/{id}",
        "See a mapping",
        get_owner,
        Scope.READ,
        query=SourceQuery,
        answer=Owner,
        choices=_KINDS,
    ),
    Route(
        "PUT",
        "/v1/owners/{kind}/{id}",
        "Map an identity or a user to a CRM user",
        put_owner,
        query=SourceQuery,
        body=OwnerBody,
        answer=Owner,
        choices=_KINDS,
    ),
    Route(
        "DELETE",
        "/v1/owners/{kind}/{id}",
        "Forget a mapping",
        delete_owner,
        query=SourceQuery,
        choices=_KINDS,
    ),
)
