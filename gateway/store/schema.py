"""The schema of a database: whether it is the one this program needs, and migrating it."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.contracts.errors import SchemaMismatch
from gateway.store.engine import Database

VERSION_TABLE = "schema_version"
_MIGRATIONS = Path(__file__).with_name("migrations")
#: Names the lock under which PostgreSQL lets one process at a time migrate.
_LOCK = 0x43414D50


class Age(Enum):
    """A schema beside the one this program needs."""

    OLDER = auto()
    SAME = auto()
    NEWER = auto()


async def migrate_schema(database: Database, *, revision: str = "head") -> None:
    """Brings the schema up to date (or up to `revision`), all of it or nothing.

    SchemaMismatch when a newer program made it."""
    async with database.begin() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _LOCK})
        await connection.run_sync(_migrate, revision)


async def check_schema(database: Database) -> None:
    """SchemaMismatch with what to do when the schema is not the one this program needs."""
    async with database.read() as connection:
        age = await connection.run_sync(_age)
    if age is Age.OLDER:
        raise SchemaMismatch("the store's schema is older than this program: run `gateway migrate`")
    if age is Age.NEWER:
        raise _newer()


def _migrate(connection: Connection, revision: str) -> None:
    age = _age(connection)
    if age is Age.NEWER:
        raise _newer()
    if age is Age.OLDER:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _age(connection: Connection) -> Age:
    scripts = ScriptDirectory.from_config(_config())
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    current = context.get_current_revision()
    if current == scripts.get_current_head():
        return Age.SAME
    known = {script.revision for script in scripts.walk_revisions()}
    return Age.OLDER if current is None or current in known else Age.NEWER


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _newer() -> SchemaMismatch:
    return SchemaMismatch(
        "the store's schema is newer than this program: start the newer version of the gateway that made it, "
        "or restore a backup of the store"
    )
