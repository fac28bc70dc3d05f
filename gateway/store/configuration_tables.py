"""The tables of what people configure, of what is known of their subjects, and of the crosswalk."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, text

from gateway.store.columns import UtcTime
from gateway.store.metadata import metadata

#: One row: what holds for the installation as a whole.
installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    #: Rises with every change of configuration.
    Column("version", BigInteger, nullable=False),
    Column("admin_key_hash", String(64)),
    #: A text sealed with the secrets' key, so that a wrong key is noticed at once.
    Column("key_check", Text),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("version", BigInteger, nullable=False),
    #: The camelCase document as people set it, without defaults.
    Column("policies", JSON, nullable=False),
    #: The source of the first accepted event, once it is known.
    Column("first_source", Text),
)

connections = Table(
    "connections",
    metadata,
    Column("workspace", ForeignKey(workspaces.c.name), primary_key=True),
    Column("base_url", Text, nullable=False),
    Column("sealed_api_key", Text, nullable=False),
    Column("api_key_header", Text, nullable=False),
    Column("contact_link_template", Text),
    Column("company_link_template", Text),
    Column("version", BigInteger, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("workspace", ForeignKey(workspaces.c.name), nullable=False, index=True),
    Column("type", Text, nullable=False),
    #: A JSON list, the secret in force first.
    Column("sealed_secrets", Text, nullable=False),
    Column("reply_channel", Text),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("workspaces", JSON(none_as_null=True)),
    Column("created_at", UtcTime, nullable=False),
)

#: Mappings to CRM users; `kind`: identities or users; `source` "": for every source.
owner_entries = Table(
    "owner_entries",
    metadata,
    Column("workspace", ForeignKey(workspaces.c.name), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    #: None: deliberately nobody.
    Column("crm_user_id", Text),
    Column("name", Text),
)

default_owners = Table(
    "default_owners",
    metadata,
    Column("workspace", ForeignKey(workspaces.c.name), primary_key=True),
    Column("crm_user_id", Text),
    Column("name", Text),
)

#: What a person said of a campaign, and beside it, never over it, what `campaign.defined` events told.
campaigns = Table(
    "campaigns",
    metadata,
    Column("workspace", ForeignKey(workspaces.c.name), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("name", Text),
    Column("identity_id", Text),
    Column("message_sync", Boolean),
    Column("paused", Boolean, nullable=False),
    Column("steps", JSON(none_as_null=True)),
    Column("told_name", Text),
    Column("told_steps", JSON(none_as_null=True)),
)

#: Sender's id ↔ CRM id; `kind`: contacts, companies or tasks. It grows with the people met, so it refers to nothing.
crosswalk = Table(
    "crosswalk",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("crm_id", Text, nullable=False),
    # crm_id alone: while PostgreSQL has no statistics it would take an index with workspace and kind in it for look-ups
    # by id, and read all of it.
    Index(None, "crm_id"),
)

#: Versions of the subjects that holds are judged by; one that never changed has no row.
subjects = Table(
    "subjects",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    #: Whether every process keeps its version in memory.
    Column("configuration", Boolean, nullable=False),
    Index(
        "ix_subjects_configuration",
        "workspace",
        sqlite_where=text("configuration = 1"),
        postgresql_where=text("configuration"),
    ),
)
