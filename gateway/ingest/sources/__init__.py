"""How a sender's bodies become events: one sender a module, all pure."""

from __future__ import annotations

from gateway.contracts.errors import GatewayError


class NotUnderstood(GatewayError):
    """A body that is authentic and says nothing we can carry on."""
