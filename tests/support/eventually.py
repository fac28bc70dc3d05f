"""Waits for a condition that another task or process will make true."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T | Awaitable[T]], *, within_s: float = 5.0) -> T:
    """Returns the first truthy value of `condition`; AssertionError with the last value after `within_s`."""
    end = time.monotonic() + within_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value  # type: ignore[return-value]
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s; last value: {value!r}")
        await asyncio.sleep(0.01)
