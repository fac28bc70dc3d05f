"""Events as tests want them: a whole one by default, any part replaced or left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.contracts.events import CampaignEvent, EventData
from gateway.contracts.keys import native_event_id

AT = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)

WHOLE: Mapping[str, Any] = {
    "contact": {"id": "6001", "firstName": "Priya", "lastName": "Natarajan", "email": "priya@contoso.example"},
    "company": {"id": "310", "name": "Contoso Rail", "domain": "contoso.example"},
    "identity": {"id": "id-7", "name": "Ada Byron"},
    "user": {"id": "usr-2", "name": "Grace H."},
    "campaign": {"id": "42", "name": "Rail Q1"},
    "step": {"id": "s2", "index": 2, "count": 4, "channel": "linkedin"},
    "message": {"id": "inm-77ab", "body": "Hello Priya"},
}


def event(
    kind: str = "linkedin.message.sent",
    *,
    source: str = "acme",
    id: str = "m-1",
    workspace: str = "default",
    time: datetime = AT,
    **parts: Mapping[str, Any] | None,
) -> CampaignEvent:
    """An event of type `campaign.<kind>`; a part given as None is left out."""
    data = {name: part for name, part in {**WHOLE, **parts}.items() if part is not None}
    return CampaignEvent(
        event_id=native_event_id(workspace, source, id),
        workspace=workspace,
        id=id,
        source=source,
        type=f"campaign.{kind}",
        time=time,
        accepted_at=time,
        data=data,
        parts=EventData.model_validate(data),
    )
