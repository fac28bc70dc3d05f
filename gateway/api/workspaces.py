"""/v1/workspaces and /v1/workspace: the workspaces there are, and the policies of one."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import Field

from gateway.api.documents import Document, Page, PageQuery
from gateway.api.policies import PoliciesDocument, PoliciesPatch, in_force, merged
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.operations import workspaces as operations


class Workspace(Document):
    """One CRM connection with its sources, mappings and keys."""

    name: str = Field(max_length=63, pattern="^[a-z0-9-]+$")


class WorkspaceList(Page[Workspace]):
    """The workspaces there are."""


async def list_workspaces(call: Call[PageQuery, None]) -> WorkspaceList:
    """The workspaces there are."""
    names, following = await operations.names(call.services, limit=call.query.limit, cursor=call.query.cursor)
    return WorkspaceList(data=[Workspace(name=name) for name in names], next=following)


async def create_workspace(call: Call[NoQuery, Workspace]) -> Workspace:
    """A new workspace with its topic."""
    return Workspace(name=await operations.create(call.services, call.body.name))


async def get_policies(call: Call[NoQuery, None]) -> PoliciesDocument:
    """The policies in force."""
    return in_force(await operations.policies(call.services, call.workspace))


async def patch_policies(call: Call[NoQuery, PoliciesPatch]) -> PoliciesDocument:
    """The policies after the patch."""
    return in_force(
        await operations.change_policies(call.services, call.workspace, lambda stored: merged(stored, call.body))
    )


ROUTES = (
    Route(
        "GET",
        "/v1/workspaces",
        "List the workspaces",
        list_workspaces,
        Scope.READ,
        query=PageQuery,
        answer=WorkspaceList,
        in_workspace=False,
    ),
    Route(
        "POST",
        "/v1/workspaces",
        "Create a workspace and its topic",
        create_workspace,
        body=Workspace,
        answer=Workspace,
        status=HTTPStatus.CREATED,
        in_workspace=False,
    ),
    Route("GET", "/v1/workspace", "See the policies", get_policies, Scope.READ, answer=PoliciesDocument),
    Route(
        "PATCH",
        "/v1/workspace",
        "Change policies; null takes one back to its default",
        patch_policies,
        body=PoliciesPatch,
        answer=PoliciesDocument,
    ),
)
