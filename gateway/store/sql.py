"""The store put together: one database, one noun a member."""

from __future__ import annotations

from sqlalchemy import select

from gateway.contracts.clock import Clock
from gateway.contracts.errors import SettingsError
from gateway.store.campaigns import Campaigns
from gateway.store.claiming import apply_abandoned, apply_claims, apply_releases
from gateway.store.configuration_tables import workspaces
from gateway.store.configurations import Configurations
from gateway.store.contact_updates import ContactUpdates
from gateway.store.crosswalk import Crosswalk
from gateway.store.dead_letters import DeadLetters
from gateway.store.deliveries_view import DeliveriesView
from gateway.store.effects import Effects
from gateway.store.engine import Database, open_database
from gateway.store.event_index import EventIndex
from gateway.store.gates import Gates
from gateway.store.generations import Generations
from gateway.store.keys import Keys
from gateway.store.ledger import Ledger
from gateway.store.locking import lock_ahead
from gateway.store.owners import Owners
from gateway.store.schema import check_schema, migrate_schema
from gateway.store.sealing import open_vault
from gateway.store.secrets import Vault, parse_keys
from gateway.store.settling import apply_conclusions, apply_settlements
from gateway.store.sources import Sources
from gateway.store.sqlite import path_of
from gateway.store.waiting import Waiting, apply_joins, apply_reholds
from gateway.store.workspaces import Workspaces
from gateway.store.writer import Writer


class SqlStore:
    """The store on SQLite or PostgreSQL: what the consumers ask for (contracts/store.py) and what operators do."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self.exclusive = database.exclusive
        self.workspaces = Workspaces(database, vault)
        self.sources = Sources(database, vault)
        self.keys = Keys(database, clock)
        self.owners = Owners(database)
        self.campaigns = Campaigns(database)
        self.crosswalk = Crosswalk(database)
        self.configurations = Configurations(database, vault, self.campaigns)
        self.writer = _writer(database)
        self.ledger = Ledger(database, self.writer)
        self.waiting = Waiting(database, self.writer)
        self.effects = Effects(database, clock)
        self.contact_updates = ContactUpdates(database)
        self.gates = Gates(database)
        self.event_index = EventIndex(database)
        self.dead_letters = DeadLetters(database)
        self.generations = Generations(database)
        self.deliveries_view = DeliveriesView(database)

    async def close(self) -> None:
        """Writes what was accepted and releases everything. Idempotent."""
        await self.writer.close()
        await self._database.close()


def _writer(database: Database) -> Writer:
    """The group commit with every kind of operation, in the order they are applied in a transaction."""
    writer = Writer(database, lock=lock_ahead)
    # What ends comes before what begins: a settlement of a contact frees it for the claim that follows.
    writer.register(apply_settlements)
    writer.register(apply_releases)
    writer.register(apply_abandoned)
    writer.register(apply_conclusions)
    writer.register(apply_reholds)
    writer.register(apply_joins)
    writer.register(apply_claims)
    return writer


async def open_store(url: str, *, secret_keys: str | None, clock: Clock) -> SqlStore:
    """The store at `sqlite:///path` (made and migrated as needed) or `postgresql://…` (migrated by `migrate` only).

    `secret_keys`: the comma list of CAMPAIGN_SECRET_KEY. Raises SettingsError for a URL, file or key that cannot be
    used, StoreLocked when another process owns the file, SchemaMismatch when the schema is not this program's,
    StoreUnavailable when the server does not answer."""
    key_file = None
    if url.startswith("sqlite:"):
        file = path_of(url)
        key_file = file.with_name(file.name + ".key")
    elif secret_keys is None:
        raise SettingsError("a PostgreSQL store needs CAMPAIGN_SECRET_KEY, which encrypts the secrets in it")
    keys = parse_keys(secret_keys) if secret_keys is not None else []
    database = await open_database(url)
    try:
        if database.exclusive:
            await migrate_schema(database)
        else:
            await check_schema(database)
        vault = await open_vault(database, keys=keys, key_file=key_file)
    except BaseException:
        await database.close()
        raise
    return SqlStore(database, vault, clock)


async def migrate(url: str) -> None:
    """Brings the schema of a store up to date. SchemaMismatch when a newer program made it."""
    database = await open_database(url)
    try:
        await migrate_schema(database)
    finally:
        await database.close()


async def workspace_names(url: str) -> list[str]:
    """The workspaces of a store, without opening its secrets. SchemaMismatch when it is not migrated."""
    database = await open_database(url)
    try:
        if database.exclusive:
            await migrate_schema(database)
        else:
            await check_schema(database)
        async with database.read() as connection:
            return list((await connection.execute(select(workspaces.c.name).order_by(workspaces.c.name))).scalars())
    finally:
        await database.close()
