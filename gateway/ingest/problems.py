"""What a refused sender is told: problem documents, each with the reason it is counted under."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from gateway.contracts.errors import GatewayError
from gateway.telemetry import Refusal

CONTENT_TYPE = "application/problem+json"


class Refused(GatewayError):
    """A request is refused: with which status, why, and what its sender should do."""

    def __init__(
        self,
        status: HTTPStatus,
        reason: Refusal,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        count: int = 1,
    ) -> None:
        """`members`: further members of the problem document. `count`: how many refusals this is."""
        super().__init__(detail)
        self.status, self.reason, self.detail, self.count = status, reason, detail, count
        self._headers, self._members = headers, members

    @property
    def temporary(self) -> bool:
        """Whether the same request may be taken later."""
        return self.status is HTTPStatus.SERVICE_UNAVAILABLE

    def answer(self) -> web.Response:
        """The answer that tells the sender."""
        document = {"title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        response = web.Response(
            body=orjson.dumps(document | dict(self._members or {})),
            status=self.status,
            headers=self._headers,
            content_type=CONTENT_TYPE,
        )
        if self.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # What is still on its way is not worth reading.
            response.force_close()
        return response


def unavailable(reason: Refusal, detail: str, *, retry_after_s: int) -> Refused:
    """The refusal of what may be taken later."""
    headers = {"Retry-After": str(retry_after_s)}
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, reason, detail, headers=headers)


def too_large(bytes_max: int) -> Refused:
    """The refusal of a body over its limit; nothing of it is taken."""
    detail = f"The body is larger than {bytes_max // 1024} KiB: send less at once."
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Refusal.BODY_TOO_LARGE, detail)
