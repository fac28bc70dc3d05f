"""Secrets at rest: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Connection, SourceSettings
from gateway.contracts.errors import SettingsError
from gateway.store import SqlStore, open_store
from gateway.store.engine import open_database
from gateway.store.secrets import Vault, parse_keys
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock

CRM = Connection("https://crm.example", "plain-key-of-the-crm")
ENGINY = SourceSettings("enginy", "default", "enginy", ("plain-secret-one", "plain-secret-two"))
OLD, NEW = "1f" * 32, base64.b64encode(bytes(range(32))).decode()


async def opened(url: str, keys: str | None, clock: Clock) -> SqlStore:
    return await open_store(url, secret_keys=keys, clock=clock)


async def kept(store: SqlStore) -> tuple[str, tuple[str, ...]]:
    connection = await store.workspaces.connection("default")
    assert connection is not None
    return connection.api_key, (await store.sources.get("default", "enginy")).secrets


async def keep(store: SqlStore) -> None:
    await store.workspaces.connect("default", CRM)
    await store.sources.put("default", ENGINY)


def _contents(folder: Path) -> list[str]:
    return [repr(path.read_bytes()) for path in folder.glob("state.db*")]


async def test_no_secret_stands_in_the_store_in_plain(store: SqlStore, store_url: str, tmp_path: Path) -> None:
    await keep(store)
    files = _contents(tmp_path)
    await store.close()
    files += _contents(tmp_path)
    database = await open_database(store_url)
    async with database.read() as connection:
        rows = [
            str(tuple(row))
            for table in ("connections", "sources", "installation")
            for row in await connection.exec_driver_sql(f"SELECT * FROM {table}")
        ]
    await database.close()
    assert len(rows) == 3
    for text in rows + files:
        assert "plain" not in text
        assert SECRET_KEYS not in text


async def test_secrets_come_back_after_a_restart_with_the_same_key(store_url: str, clock: ManualClock) -> None:
    store = await opened(store_url, OLD, clock)
    await keep(store)
    await store.close()
    store = await opened(store_url, OLD, clock)
    assert await kept(store) == (CRM.api_key, ENGINY.secrets)
    await store.close()


async def test_a_wrong_key_is_noticed_when_the_store_is_opened(store_url: str, clock: ManualClock) -> None:
    store = await opened(store_url, OLD, clock)
    await keep(store)
    await store.close()
    with pytest.raises(SettingsError, match="cannot be read with CAMPAIGN_SECRET_KEY"):
        await opened(store_url, NEW, clock)
    store = await opened(store_url, OLD, clock)
    assert await kept(store) == (CRM.api_key, ENGINY.secrets)
    await store.close()


async def test_after_a_start_with_a_new_key_first_the_old_one_may_be_left_out(
    store_url: str, clock: ManualClock
) -> None:
    for keys in (OLD, f"{NEW}, {OLD}", NEW):
        store = await opened(store_url, keys, clock)
        if keys == OLD:
            await keep(store)
        assert await kept(store) == (CRM.api_key, ENGINY.secrets)
        await store.close()
    with pytest.raises(SettingsError, match="cannot be read"):
        await opened(store_url, OLD, clock)


async def test_a_secret_written_by_a_process_with_another_key_is_a_clear_error_when_loaded(
    store: SqlStore, store_url: str
) -> None:
    foreign = Vault(parse_keys(NEW)).seal("key", "the connection of workspace default")
    await keep(store)
    await _overwrite(store, store_url, foreign)
    with pytest.raises(SettingsError, match="cannot be read with CAMPAIGN_SECRET_KEY"):
        await _reopened_load(store, store_url)


async def test_a_secret_moved_to_another_row_or_altered_is_a_clear_error_when_loaded(
    store: SqlStore, store_url: str
) -> None:
    await keep(store)
    elsewhere = Vault(parse_keys(SECRET_KEYS)).seal("key", "the connection of workspace other")
    await _overwrite(store, store_url, elsewhere)
    with pytest.raises(SettingsError, match="was altered"):
        await _reopened_load(store, store_url)


async def _overwrite(store: SqlStore, url: str, sealed: str) -> None:
    await store.close()
    database = await open_database(url)
    async with database.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE connections SET sealed_api_key = '{sealed}'")
    await database.close()


async def _reopened_load(store: SqlStore, url: str) -> None:
    again = await open_store(url, secret_keys=SECRET_KEYS, clock=ManualClock())
    try:
        await again.configurations.load()
    finally:
        await again.close()


# The key beside a SQLite store


async def test_a_sqlite_store_without_a_key_makes_one_that_only_its_owner_reads(
    tmp_path: Path, clock: ManualClock
) -> None:
    url, key_file = f"sqlite:///{tmp_path}/state.db", tmp_path / "state.db.key"
    store = await opened(url, None, clock)
    await keep(store)
    await store.close()
    made = key_file.read_text()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(made.strip())) == 32
    store = await opened(url, None, clock)
    assert await kept(store) == (CRM.api_key, ENGINY.secrets)
    await store.close()
    assert key_file.read_text() == made


async def test_a_lost_key_file_is_asked_for_and_never_made_anew(tmp_path: Path, clock: ManualClock) -> None:
    url, key_file = f"sqlite:///{tmp_path}/state.db", tmp_path / "state.db.key"
    await (await opened(url, None, clock)).close()
    key_file.unlink()
    with pytest.raises(SettingsError, match=r"bring back .*state\.db\.key"):
        await opened(url, None, clock)
    assert not key_file.exists()


async def test_a_key_set_later_takes_over_from_the_one_beside_the_store(tmp_path: Path, clock: ManualClock) -> None:
    url, key_file = f"sqlite:///{tmp_path}/state.db", tmp_path / "state.db.key"
    store = await opened(url, None, clock)
    await keep(store)
    await store.close()
    await (await opened(url, NEW, clock)).close()
    key_file.unlink()
    store = await opened(url, NEW, clock)
    assert await kept(store) == (CRM.api_key, ENGINY.secrets)
    await store.close()


async def test_a_postgresql_store_demands_a_key(clock: ManualClock) -> None:
    with pytest.raises(SettingsError, match="PostgreSQL store needs CAMPAIGN_SECRET_KEY"):
        await opened("postgresql://u@host/db", None, clock)


# Keys as they are set


def test_hex_and_base64_of_the_same_bytes_are_the_same_key() -> None:
    key = bytes(range(200, 232))
    texts = [key.hex(), key.hex().upper(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()]
    texts.append(base64.b64encode(key).decode().rstrip("="))
    assert parse_keys(",".join(texts)) == [key] * 5


def test_a_passphrase_is_the_same_key_every_time_and_different_ones_are_different_keys() -> None:
    first, again, other = parse_keys(f"{'a' * 40}, {'a' * 40} ,{'a' * 41}")
    assert first == again
    assert first != other
    assert len(first) == 32


@pytest.mark.parametrize("text", ["", "short", "a" * 31, f"{OLD},", f"{OLD},short"])
def test_a_key_that_is_too_short_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="32"):
        parse_keys(text)


def test_what_is_sealed_is_never_the_same_twice_and_opens_for_its_purpose_alone() -> None:
    vault = Vault(parse_keys(OLD))
    sealed = vault.seal("text", "one")
    assert sealed != vault.seal("text", "one")
    assert vault.open(sealed, "one") == "text"
    with pytest.raises(SettingsError):
        vault.open(sealed, "another")
    for broken in ("", "nonsense", sealed[:-4], sealed + "!", sealed.partition(":")[0] + ":"):
        with pytest.raises(SettingsError):
            vault.open(broken, "one")
