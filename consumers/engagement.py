"""The engagement field: what a delivered activity or task wants written on its contact."""

from __future__ import annotations

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import Learned
from gateway.planning.decisions import Resolution


def engagement(configuration: WorkspaceConfiguration, resolution: Resolution) -> Learned:
    """The update to want in the settling transaction, so that it is wanted if and only if the delivery happened."""
    field = configuration.policies.engagement_field
    if field is None or resolution.contact_crm_id is None:
        return Learned()
    return Learned(wanted={field.name: field.value}, contact_crm_id=resolution.contact_crm_id)
