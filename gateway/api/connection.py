"""/v1/custom-crm: try, make, see and end the connection to the CRM."""

from __future__ import annotations

from pydantic import Field

from gateway.api.documents import Document, Instant
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.crm.client import CrmUser
from gateway.operations import connection as operations
from gateway.operations.crm_address import CrmAddress


class CrmConnection(Document):
    """How a CRM is reached. An absent `apiKey` means the stored one; templates contain `{{crmId}}` once."""

    base_url: str = Field(max_length=2048)
    api_key: str | None = Field(None, max_length=4096)
    api_key_header: str | None = Field(None, max_length=64)
    contact_link_template: str | None = Field(None, max_length=2048)
    company_link_template: str | None = Field(None, max_length=2048)

    def address(self) -> CrmAddress:
        """The same for the operations."""
        return CrmAddress(
            base_url=self.base_url,
            api_key=self.api_key,
            api_key_header=self.api_key_header,
            contact_link_template=self.contact_link_template,
            company_link_template=self.company_link_template,
        )


class CrmUserDocument(Document):
    """An owner in the CRM."""

    id: str
    name: str
    email: str | None = None


class CrmTrial(Document):
    """What came of trying a CRM: `success`, and a sentence that says more."""

    success: bool
    supports_users: bool
    users: list[CrmUserDocument]
    detail: str


class CrmOffers(Document):
    """Which calls the CRM offers; null where only a creating call would tell and none was made yet."""

    activities: bool | None
    tasks: bool | None
    contacts: bool | None
    users: bool | None


class CrmStatus(Document):
    """The connection, asked now. The key never comes back."""

    connected: bool
    base_url: str | None
    api_key_header: str | None
    contact_link_template: str | None
    company_link_template: str | None
    healthy: bool
    supports_users: bool
    offers: CrmOffers
    detail: str
    checked_at: Instant


def users_of(users: list[CrmUser] | None) -> list[CrmUserDocument]:
    """The CRM's users as documents."""
    return [CrmUserDocument(id=user.id, name=user.name, email=user.email) for user in users or []]


async def try_crm(call: Call[NoQuery, CrmConnection]) -> CrmTrial:
    """Tries a CRM; 200 also when it fails."""
    trial = await operations.test(call.services, call.workspace, call.body.address())
    return CrmTrial(
        success=trial.success,
        supports_users=trial.users is not None,
        users=users_of(trial.users),
        detail=trial.detail,
    )


async def connect_crm(call: Call[NoQuery, CrmConnection]) -> CrmStatus:
    """Connects a CRM that answers and takes the key."""
    return _status(await operations.connect(call.services, call.workspace, call.body.address()))


async def crm_status(call: Call[NoQuery, None]) -> CrmStatus:
    """The connection, asked now."""
    return _status(await operations.status(call.services, call.workspace))


async def disconnect_crm(call: Call[NoQuery, None]) -> None:
    """Ends the connection."""
    await operations.disconnect(call.services, call.workspace)


def _status(status: operations.ConnectionStatus) -> CrmStatus:
    connection = status.connection
    return CrmStatus(
        connected=connection is not None,
        base_url=connection.base_url if connection else None,
        api_key_header=connection.api_key_header if connection else None,
        contact_link_template=connection.contact_link_template if connection else None,
        company_link_template=connection.company_link_template if connection else None,
        healthy=status.healthy,
        supports_users=status.supports_users,
        offers=CrmOffers(**status.offers),
        detail=status.detail,
        checked_at=status.checked_at,
    )


ROUTES = (
    Route(
        "POST", "/v1/custom-crm/test", "Try a CRM without connecting it", try_crm, body=CrmConnection, answer=CrmTrial
    ),
    Route("POST", "/v1/custom-crm/connect", "Connect a CRM", connect_crm, body=CrmConnection, answer=CrmStatus),
    Route("GET", "/v1/custom-crm/status", "See the connection", crm_status, Scope.READ, answer=CrmStatus),
    Route("DELETE", "/v1/custom-crm/disconnect", "End the connection", disconnect_crm),
)
