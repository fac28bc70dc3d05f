"""Signals: the first asks for a clean end, the second ends at once."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

log = structlog.get_logger(__name__)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. A second signal ends the process at once: what is in flight is in doubt."""
    stopping = asyncio.Event()

    def received(number: int) -> None:
        if stopping.is_set():
            log.warning("second signal: ending at once")
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)
    return stopping
