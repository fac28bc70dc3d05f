"""The configuration in memory: over both stores, and over one that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from gateway.contracts.configuration import Configuration, OwnerEntry
from gateway.contracts.errors import StoreUnavailable
from gateway.store import SqlStore, open_store
from gateway.store.live import LiveConfiguration
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.eventually import eventually

ADA = OwnerEntry("", "id-7", "u-1", "Ada")


class Configurations:
    """A store's configurations that a test holds in its hands."""

    def __init__(self) -> None:
        self.configuration = Configuration(version=1, workspaces={})
        self.away = False
        self.loads = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def version(self) -> int:
        if self.away:
            raise StoreUnavailable("the store is away")
        return self.configuration.version

    async def load(self) -> Configuration:
        self.loads += 1
        await self.answers.wait()
        return self.configuration


@pytest.fixture
async def configurations() -> Configurations:
    return Configurations()


@pytest.fixture
async def live(configurations: Configurations, clock: ManualClock) -> AsyncIterator[LiveConfiguration]:
    """Loaded once and polling."""
    live = LiveConfiguration(configurations, clock)
    await live.refresh()
    polling = asyncio.create_task(live.run())
    yield live
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)


async def test_a_change_is_in_force_at_once_where_it_was_made(store: SqlStore, clock: ManualClock) -> None:
    live = LiveConfiguration(store.configurations, clock)
    await live.refresh()
    await store.owners.put("default", "identities", ADA)
    assert live.current.workspaces["default"].identity("acme", "id-7") is None
    await live.refresh()
    assert live.current.workspaces["default"].identity("acme", "id-7") == ADA


async def test_a_change_made_elsewhere_is_in_force_within_two_seconds(
    store: SqlStore, store_url: str, clock: ManualClock
) -> None:
    elsewhere = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    live = LiveConfiguration(store.configurations, clock)
    polling = asyncio.create_task(live.run())
    await elsewhere.owners.put("default", "identities", ADA)

    async def in_force() -> bool:
        await clock.advance(0.05)
        workspace = live.current.workspaces.get("default")
        return workspace is not None and workspace.identity("acme", "id-7") == ADA

    await eventually(in_force)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    if elsewhere is not store:
        await elsewhere.close()


async def test_a_poll_comes_every_half_second_and_loads_only_what_is_new(
    live: LiveConfiguration, configurations: Configurations, clock: ManualClock
) -> None:
    await clock.advance(10)
    assert configurations.loads == 1
    configurations.configuration = Configuration(version=2, workspaces={})
    await clock.advance(0.6)
    assert (configurations.loads, live.current.version) == (2, 2)


async def test_a_store_restored_to_an_older_version_is_taken_too(
    live: LiveConfiguration, configurations: Configurations, clock: ManualClock
) -> None:
    configurations.configuration = Configuration(version=0, workspaces={})
    await clock.advance(0.6)
    assert live.current.version == 0


async def test_while_the_store_is_away_the_last_configuration_stays_and_the_log_stays_quiet(
    live: LiveConfiguration, configurations: Configurations, clock: ManualClock
) -> None:
    configurations.away = True
    with capture_logs() as lines:
        await clock.advance(10.2)
    assert live.current.version == 1
    assert 1 <= len(lines) <= 11
    assert lines[0]["error"] == "the store is away"
    with pytest.raises(StoreUnavailable):
        await live.refresh()
    configurations.away = False
    configurations.configuration = Configuration(version=2, workspaces={})
    await clock.advance(0.6)
    assert live.current.version == 2


async def test_whoever_listens_hears_of_every_change_and_not_of_polls(
    live: LiveConfiguration, configurations: Configurations, clock: ManualClock
) -> None:
    heard: list[tuple[int, int]] = []
    live.on_change(lambda configuration: heard.append((configuration.version, live.current.version)))
    await clock.advance(5)
    for version in (2, 3):
        configurations.configuration = Configuration(version=version, workspaces={})
        await live.refresh()
    assert heard == [(2, 2), (3, 3)]


async def test_a_listener_that_fails_is_named_and_keeps_nobody_else_from_hearing(
    live: LiveConfiguration, configurations: Configurations, clock: ManualClock
) -> None:
    heard: list[int] = []

    def broken(_: Configuration) -> None:
        raise LookupError("what?")

    live.on_change(broken)
    live.on_change(lambda configuration: heard.append(configuration.version))
    with capture_logs() as lines:
        for version in (2, 3):
            configurations.configuration = Configuration(version=version, workspaces={})
            await clock.advance(2)
    assert heard == [2, 3]
    assert "what?" in lines[0]["error"]


async def test_refreshing_many_times_at_once_loads_once(
    live: LiveConfiguration, configurations: Configurations
) -> None:
    configurations.configuration = Configuration(version=2, workspaces={})
    configurations.answers.clear()
    refreshing = [asyncio.create_task(live.refresh()) for _ in range(10)]
    await eventually(lambda: configurations.loads == 2)
    configurations.answers.set()
    assert {answer.version for answer in await asyncio.gather(*refreshing)} == {2}
    assert configurations.loads == 2
