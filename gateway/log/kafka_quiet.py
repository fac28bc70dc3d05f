"""Keeps the Kafka client's own log lines to about one a second, without tracebacks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LINE_EVERY_S = 1.0
_CLIENT = "aiokafka"
_logger = logging.getLogger("gateway.log.kafka")


class Thinned(logging.Handler):
    """Passes on a line when none was passed for a while, and says how many were left out since."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._monotonic = monotonic
        self._last = -LINE_EVERY_S
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Passes the line on, or counts it."""
        now = self._monotonic()
        if now - self._last < LINE_EVERY_S:
            self._left_out += 1
            return
        more = f" ({self._left_out} lines left out before)" if self._left_out else ""
        self._last, self._left_out = now, 0
        _logger.warning("Kafka client: %s%s", record.getMessage(), more)


def quiet_client(*, opening: bool = False) -> None:
    """Sends the client's warnings through the thinning handler only. Harmless when done before.

    `opening`: none at all, since whoever opens the log says in one sentence what is wrong."""
    client = logging.getLogger(_CLIENT)
    client.setLevel(logging.CRITICAL if opening else logging.WARNING)
    client.propagate = False
    if not any(isinstance(handler, Thinned) for handler in client.handlers):
        client.addHandler(Thinned(time.monotonic))
