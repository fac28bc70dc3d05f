"""The CRM: `open_crm` opens the way to one."""

from __future__ import annotations

from gateway.contracts.configuration import Connection
from gateway.crm.client import CrmClient
from gateway.crm.http import HttpCrm
from gateway.crm.transport import OnCall


def open_crm(connection: Connection, *, timeout_s: float, concurrency: int, on_call: OnCall | None = None) -> CrmClient:
    """A client of the CRM; nothing is sent before the first call. `on_call` is told of every call."""
    return HttpCrm(connection, timeout_s=timeout_s, concurrency=concurrency, on_call=on_call)
