"""Who owns a record in the CRM: the rules from a campaign's identities and users to CRM users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.contracts.configuration import OwnerEntry, UnmappedOwner, WorkspaceConfiguration
from gateway.contracts.deliveries import identity_subject, user_subject
from gateway.contracts.events import CampaignEvent
from gateway.contracts.states import Reason
from gateway.planning.decisions import Held, Moment, OwnerDecision, hold


@dataclass(frozen=True, slots=True)
class CrmUsers:
    """What is known of the CRM's users now. `ids` None: they could not be asked for."""

    offered: bool = True
    ids: frozenset[str] | None = None

    @classmethod
    def unknown(cls) -> CrmUsers:
        """The CRM could not say: mapped ids are sent unchecked."""
        return cls()

    @classmethod
    def not_offered(cls) -> CrmUsers:
        """The CRM has no users to own anything: no owner is sent."""
        return cls(offered=False)

    @classmethod
    def listed(cls, ids: Iterable[str]) -> CrmUsers:
        """These, and nobody else."""
        return cls(ids=frozenset(ids))

    def knows(self, crm_user_id: str) -> bool:
        """Whether that user may be sent as an owner."""
        return self.ids is None or crm_user_id in self.ids


_NOT_OFFERED = OwnerDecision(None, "the CRM offers no users")


def activity_owner(
    event: CampaignEvent, config: WorkspaceConfiguration, users: CrmUsers, moment: Moment
) -> OwnerDecision | Held:
    """The event's CRM user → identity mapping → user mapping where no identity is known → default owner → none.

    Under `unmappedOwner: wait` an identity or user that is named and not mapped holds, default owner or not. A CRM
    user named by the event whom the CRM does not list is passed over: no mapping could mend it."""
    return _owner(event, config, users, moment, _chosen(event))


def task_owner(
    event: CampaignEvent, config: WorkspaceConfiguration, users: CrmUsers, moment: Moment
) -> OwnerDecision | Held:
    """The task's CRM user first, then as for activities."""
    task = event.parts.task
    chosen = [("the task's CRM user", task.crmUserId)] if task is not None and task.crmUserId else []
    return _owner(event, config, users, moment, chosen + _chosen(event))


def record_owner(event: CampaignEvent, config: WorkspaceConfiguration, users: CrmUsers) -> OwnerDecision:
    """Of a contact or company about to be created: user mapping → identity mapping → default owner → none."""
    if not users.offered:
        return _NOT_OFFERED
    for named in (_user(event, config), _identity(event, config)):
        if named is not None and (decision := named.decide(users)) is not None:
            return decision
    return _default(config, users)


@dataclass(frozen=True, slots=True)
class _Named:
    """An identity or user that the event names, and its mapping."""

    label: str
    subject: str
    entry: OwnerEntry | None

    def decide(self, users: CrmUsers) -> OwnerDecision | None:
        """What the mapping says; None where there is none, or its CRM user is gone."""
        if self.entry is None:
            return None
        crm_user_id = self.entry.crm_user_id
        if crm_user_id is None:
            return OwnerDecision(None, f"{self.label} → deliberately none")
        return OwnerDecision(crm_user_id, f"{self.label} → {crm_user_id}") if users.knows(crm_user_id) else None

    @property
    def problem(self) -> str:
        """Why the mapping decides nothing."""
        if self.entry is None:
            return f"{self.label} is not mapped"
        return f"{self.label} → {self.entry.crm_user_id}, whom the CRM does not list"


def _identity(event: CampaignEvent, config: WorkspaceConfiguration) -> _Named | None:
    identity = event.parts.identity
    if identity is None or not identity.id:
        return None
    return _Named(f"identity {identity.id}", identity_subject(identity.id), config.identity(event.source, identity.id))


def _user(event: CampaignEvent, config: WorkspaceConfiguration) -> _Named | None:
    user = event.parts.user
    if user is None or not user.id:
        return None
    return _Named(f"user {user.id}", user_subject(user.id), config.user(event.source, user.id))


def _chosen(event: CampaignEvent) -> list[tuple[str, str]]:
    owner = event.parts.owner
    return [("the event's CRM user", owner.crmUserId)] if owner is not None and owner.crmUserId else []


def _owner(
    event: CampaignEvent,
    config: WorkspaceConfiguration,
    users: CrmUsers,
    moment: Moment,
    chosen: list[tuple[str, str]],
) -> OwnerDecision | Held:
    if not users.offered:
        return _NOT_OFFERED
    for label, crm_user_id in chosen:
        if users.knows(crm_user_id):
            return OwnerDecision(crm_user_id, f"{label} → {crm_user_id}")
    named = _identity(event, config) or _user(event, config)
    if named is None:
        return _default(config, users)
    if (decision := named.decide(users)) is not None:
        return decision
    if config.policies.unmapped_owner is UnmappedOwner.WAIT:
        return hold(Reason.UNMAPPED_OWNER, named.subject, config, moment, named.problem)
    fallback = _default(config, users)
    return OwnerDecision(fallback.crm_user_id, f"{named.problem}; {fallback.rule}")


def _default(config: WorkspaceConfiguration, users: CrmUsers) -> OwnerDecision:
    owner = config.default_owner
    if owner is None:
        return OwnerDecision(None, "no owner known")
    if owner.crm_user_id is None:
        return OwnerDecision(None, "default owner → deliberately none")
    if not users.knows(owner.crm_user_id):
        return OwnerDecision(None, f"default owner → {owner.crm_user_id}, whom the CRM does not list")
    return OwnerDecision(owner.crm_user_id, f"default owner → {owner.crm_user_id}")
