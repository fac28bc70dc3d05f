"""What a sender's webhooks leave out of a campaign, said by a person or by `campaign.defined`."""

from __future__ import annotations

from gateway.contracts.configuration import CampaignSettings
from gateway.operations.services import Services


async def known(
    services: Services, workspace: str, *, missing: str | None, limit: int, cursor: str | None
) -> tuple[list[CampaignSettings], str | None]:
    """The campaigns there are; `missing`: only those without that member."""
    return await services.store.campaigns.list(workspace, limit=limit, cursor=cursor, missing=missing)


async def entry(services: Services, workspace: str, source: str, campaign_id: str) -> CampaignSettings:
    """One campaign, exactly of that source. NotFound when nothing is known of it."""
    return await services.store.campaigns.get(workspace, source, campaign_id)


async def put(services: Services, workspace: str, campaign: CampaignSettings) -> CampaignSettings:
    """Replaces what a person said of a campaign; what waited for it goes on. Answers with what events told besides."""
    async with services.change():
        await services.store.campaigns.put(workspace, campaign)
    return await services.store.campaigns.get(workspace, campaign.source, campaign.id)
