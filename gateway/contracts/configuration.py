"""A workspace's configuration as the hot path reads it: one immutable snapshot, replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from gateway.contracts.event_types import ACTIVITY_TYPES, TASK_CREATED
from gateway.contracts.events import CampaignStep


class UnmappedOwner(StrEnum):
    """What becomes of an event whose identity or user is named and not mapped."""

    SEND = "send"
    WAIT = "wait"


class UnknownContact(StrEnum):
    """What becomes of an event whose contact the CRM does not know."""

    CREATE = "create"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class EngagementField:
    """The CRM's field that receives one fixed value when a contact is first engaged."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a CRM may be asked to bear; concurrency is per process."""

    concurrency: int = 64
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Policies:
    """The choices of a workspace (interfaces.md §6, GET /v1/workspace)."""

    company_name: str | None = None
    unmapped_owner: UnmappedOwner = UnmappedOwner.SEND
    unknown_contact: UnknownContact = UnknownContact.CREATE
    create_on: frozenset[str] = frozenset((*ACTIVITY_TYPES, TASK_CREATED))
    wait_at_most: timedelta = timedelta(days=30)
    in_doubt_resends: int = 2
    message_sync: bool = True
    engagement_field: EngagementField | None = None
    limits: Limits = Limits()
    retry_attempts: int = 6
    #: Source → prefix of its externalIds, set by hand; absent: the rule of interfaces.md §4.
    external_id_prefix: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connection:
    """How the CRM of a workspace is reached. `version` rises with every connect."""

    base_url: str
    api_key: str = field(repr=False)
    api_key_header: str = "X-API-Key"
    contact_link_template: str | None = None
    company_link_template: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class OwnerEntry:
    """A mapping to a CRM user. `crm_user_id` None: deliberately none. Source "" holds for every source."""

    source: str
    id: str
    crm_user_id: str | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class DefaultOwner:
    """The owner where nobody else is named; `crm_user_id` None: deliberately none."""

    crm_user_id: str | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """What a sender's webhooks leave out of a campaign. Source "" holds for every source."""

    source: str
    id: str
    name: str | None = None
    identity_id: str | None = None
    message_sync: bool | None = None
    paused: bool = False
    steps: tuple[CampaignStep, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """A configured sender of webhooks; `secrets`: the one in force first."""

    name: str
    workspace: str
    type: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    reply_channel: str | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceConfiguration:
    """Everything the hot path needs to know about one workspace, at one version."""

    name: str
    version: int
    policies: Policies = Policies()
    connection: Connection | None = None
    identities: Mapping[tuple[str, str], OwnerEntry] = field(default_factory=dict)
    users: Mapping[tuple[str, str], OwnerEntry] = field(default_factory=dict)
    default_owner: DefaultOwner | None = None
    campaigns: Mapping[tuple[str, str], CampaignSettings] = field(default_factory=dict)
    sources: Mapping[str, SourceSettings] = field(default_factory=dict)
    #: Versions of the subjects that holds are judged by (contracts/deliveries.py); absent: 0.
    subjects: Mapping[str, int] = field(default_factory=dict)

    def identity(self, source: str, identity_id: str) -> OwnerEntry | None:
        """The mapping of an identity: a source's own entry wins over one for every source."""
        return self.identities.get((source, identity_id)) or self.identities.get(("", identity_id))

    def user(self, source: str, user_id: str) -> OwnerEntry | None:
        """The mapping of a sender's user, likewise."""
        return self.users.get((source, user_id)) or self.users.get(("", user_id))

    def campaign(self, source: str, campaign_id: str) -> CampaignSettings | None:
        """What is known of a campaign: each member from the source's own entry, else from the one for every source."""
        own, shared = self.campaigns.get((source, campaign_id)), self.campaigns.get(("", campaign_id))
        if own is None or shared is None:
            return own or shared
        return CampaignSettings(
            source=source,
            id=campaign_id,
            name=own.name or shared.name,
            identity_id=own.identity_id or shared.identity_id,
            message_sync=own.message_sync if own.message_sync is not None else shared.message_sync,
            paused=own.paused or shared.paused,
            steps=own.steps or shared.steps,
        )

    def subject_version(self, subject: str) -> int:
        """The version of a subject of configuration as this snapshot knows it."""
        return self.subjects.get(subject, 0)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key by its hash (hex of SHA-256). `workspaces` None: every workspace."""

    id: str
    name: str
    hash: str
    scopes: frozenset[str]
    workspaces: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole configuration in force in this process."""

    version: int
    workspaces: Mapping[str, WorkspaceConfiguration]
    keys: Mapping[str, ApiKey] = field(default_factory=dict)

    def source(self, name: str) -> SourceSettings | None:
        """The source of that name; names are unique over all workspaces."""
        for workspace in self.workspaces.values():
            if name in workspace.sources:
                return workspace.sources[name]
        return None
