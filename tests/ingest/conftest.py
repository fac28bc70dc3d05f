"""A listener for the tests of the receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ingest.door import Door, open_door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened
