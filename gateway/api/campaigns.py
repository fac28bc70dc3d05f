"""/v1/campaigns: what a sender's webhooks leave out of a campaign."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.api.documents import Document, Duration, Id, Page, PageQuery
from gateway.api.owners import SourceQuery
from gateway.api.routing import Call, Route
from gateway.contracts.access import Scope
from gateway.contracts.configuration import CampaignSettings
from gateway.contracts.durations import format_duration
from gateway.contracts.events import CampaignStep
from gateway.operations import campaigns as operations


class StepBody(Document):
    """One step of a campaign; `index` counts from 1."""

    id: Id | None = None
    index: int | None = Field(None, ge=0, le=100_000)
    channel: str | None = Field(None, max_length=256)
    kind: str | None = Field(None, max_length=256)
    title: str | None = Field(None, max_length=4096)
    note: str | None = Field(None, max_length=65536)
    task_type: str | None = Field(None, max_length=256)
    delay: Duration | None = None

    def step(self) -> CampaignStep:
        """The same as events carry it."""
        return CampaignStep(
            id=self.id,
            index=self.index,
            channel=self.channel,
            kind=self.kind,
            title=self.title,
            note=self.note,
            taskType=self.task_type,
            delay=None if self.delay is None else format_duration(self.delay),
        )


class CampaignBody(Document):
    """What is known of a campaign. An absent member is not known; `messageSync` null: the workspace's policy holds."""

    name: str | None = Field(None, max_length=4096)
    identity_id: Id | None = None
    message_sync: bool | None = None
    paused: bool = False
    steps: list[StepBody] = Field(default_factory=list, max_length=1000)


class StepDocument(Document):
    """One step of a campaign, as it was said."""

    id: str | None
    index: int | None
    channel: str | None
    kind: str | None
    title: str | None
    note: str | None
    task_type: str | None
    delay: str | None


class Campaign(Document):
    """A campaign as known here. `source` null: it holds for every source."""

    source: str | None
    id: str
    name: str | None
    identity_id: str | None
    message_sync: bool | None
    paused: bool
    steps: list[StepDocument]


class CampaignList(Page[Campaign]):
    """The campaigns known here."""


class CampaignQuery(PageQuery):
    """`missing`: only campaigns of which that member is not known."""

    missing: Literal["identityId", "steps", "messageSync"] | None = None


async def list_campaigns(call: Call[CampaignQuery, None]) -> CampaignList:
    """The campaigns known here."""
    query = call.query
    found, following = await operations.known(
        call.services, call.workspace, missing=query.missing, limit=query.limit, cursor=query.cursor
    )
    return CampaignList(data=[_document(campaign) for campaign in found], next=following)


async def get_campaign(call: Call[SourceQuery, None]) -> Campaign:
    """One campaign."""
    return _document(await operations.entry(call.services, call.workspace, call.query.scope, call.path["id"]))


async def put_campaign(call: Call[SourceQuery, CampaignBody]) -> Campaign:
    """Replaces what is known of a campaign."""
    body = call.body
    settings = CampaignSettings(
        source=call.query.scope,
        id=call.path["id"],
        name=body.name,
        identity_id=body.identity_id,
        message_sync=body.message_sync,
        paused=body.paused,
        steps=tuple(step.step() for step in body.steps),
    )
    return _document(await operations.put(call.services, call.workspace, settings))


def _document(campaign: CampaignSettings) -> Campaign:
    return Campaign(
        source=campaign.source or None,
        id=campaign.id,
        name=campaign.name,
        identity_id=campaign.identity_id,
        message_sync=campaign.message_sync,
        paused=campaign.paused,
        steps=[_step(step) for step in campaign.steps],
    )


def _step(step: CampaignStep) -> StepDocument:
    return StepDocument(
        id=step.id,
        index=step.index,
        channel=step.channel,
        kind=step.kind,
        title=step.title,
        note=step.note,
        task_type=step.taskType,
        delay=step.delay,
    )


ROUTES = (
    Route(
        "GET",
        "/v1/campaigns",
        "List the campaigns, or those of which a member is missing",
        list_campaigns,
        Scope.READ,
        query=CampaignQuery,
        answer=CampaignList,
    ),
    Route("GET", "/v1/campaigns/{id}", "See a campaign", get_campaign, Scope.READ, query=SourceQuery, answer=Campaign),
    Route(
        "PUT",
        "/v1/campaigns/{id}",
        "Say what webhooks leave out of a campaign",
        put_campaign,
        query=SourceQuery,
        body=CampaignBody,
        answer=Campaign,
    ),
)
