"""The key of a store's secrets: found or made when the store opens, checked, and changed by sealing all anew."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.errors import SettingsError
from gateway.store.configuration_tables import connections, installation, sources
from gateway.store.engine import Database
from gateway.store.secrets import Vault, make_key_file, read_key_file
from gateway.store.sources import secrets_purpose
from gateway.store.workspaces import api_key_purpose

_CHECK = "the check of the key"


async def open_vault(database: Database, *, keys: list[bytes], key_file: Path | None) -> Vault:
    """The vault of this store, every secret in it sealed with the first key.

    `keys`: as set, the first seals. `key_file`: where a SQLite store keeps a key of its own,
    made when none is set. SettingsError when the keys are
    wrong for the secrets that are there, or when there is no key at all."""
    if key_file is not None:
        keys = [*keys, *read_key_file(key_file)]
    async with database.begin() as connection:
        check = (await connection.execute(select(installation.c.key_check).with_for_update())).scalar_one()
        if not keys:
            if check is not None or key_file is None:
                raise SettingsError(_missing(key_file))
            keys = [make_key_file(key_file)]
        vault = Vault(keys)
        if check is None:
            await connection.execute(update(installation).values(key_check=vault.seal("", _CHECK)))
        elif not vault.is_current(check):
            vault.open(check, _CHECK)
            await _seal_anew(connection, vault)
    return vault


async def _seal_anew(connection: AsyncConnection, vault: Vault) -> None:
    """Rotation ends here: afterwards the older keys may be left out of the setting."""
    await connection.execute(update(installation).values(key_check=vault.seal("", _CHECK)))
    for row in (await connection.execute(select(connections.c.workspace, connections.c.sealed_api_key))).all():
        purpose = api_key_purpose(row.workspace)
        sealed = vault.seal(vault.open(row.sealed_api_key, purpose), purpose)
        mine = connections.c.workspace == row.workspace
        await connection.execute(update(connections).where(mine).values(sealed_api_key=sealed))
    for row in (await connection.execute(select(sources.c.name, sources.c.sealed_secrets))).all():
        purpose = secrets_purpose(row.name)
        sealed = vault.seal(vault.open(row.sealed_secrets, purpose), purpose)
        await connection.execute(update(sources).where(sources.c.name == row.name).values(sealed_secrets=sealed))


def _missing(key_file: Path | None) -> str:
    if key_file is None:
        return "a PostgreSQL store needs CAMPAIGN_SECRET_KEY, which encrypts the secrets in it"
    return (
        "the secrets in the store were encrypted with a key that is not there: "
        f"set CAMPAIGN_SECRET_KEY to it, or bring back {key_file}"
    )
