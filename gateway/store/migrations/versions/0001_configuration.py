"""What people configure, the versions of subjects, the crosswalk; the workspace `default`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    installation = op.create_table(
        "installation",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("admin_key_hash", sa.String(64)),
        sa.Column("key_check", sa.Text),
    )
    workspaces = op.create_table(
        "workspaces",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("policies", sa.JSON, nullable=False),
        sa.Column("first_source", sa.Text),
    )
    _create_connections_and_sources()
    _create_owners_and_campaigns()
    _create_crosswalk_and_subjects()
    op.bulk_insert(installation, [{"id": 1, "version": 1}])
    op.bulk_insert(workspaces, [{"name": "default", "version": 1, "policies": {}}])


def _create_connections_and_sources() -> None:
    op.create_table(
        "connections",
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), primary_key=True),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("sealed_api_key", sa.Text, nullable=False),
        sa.Column("api_key_header", sa.Text, nullable=False),
        sa.Column("contact_link_template", sa.Text),
        sa.Column("company_link_template", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), nullable=False, index=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("sealed_secrets", sa.Text, nullable=False),
        sa.Column("reply_channel", sa.Text),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("workspaces", sa.JSON),
        sa.Column("created_at", UtcTime, nullable=False),
    )


def _create_owners_and_campaigns() -> None:
    op.create_table(
        "owner_entries",
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("crm_user_id", sa.Text),
        sa.Column("name", sa.Text),
    )
    op.create_table(
        "default_owners",
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), primary_key=True),
        sa.Column("crm_user_id", sa.Text),
        sa.Column("name", sa.Text),
    )
    op.create_table(
        "campaigns",
        sa.Column("workspace", sa.String(63), sa.ForeignKey("workspaces.name"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("identity_id", sa.Text),
        sa.Column("message_sync", sa.Boolean),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("steps", sa.JSON),
        sa.Column("told_name", sa.Text),
        sa.Column("told_steps", sa.JSON),
    )


def _create_crosswalk_and_subjects() -> None:
    op.create_table(
        "crosswalk",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("crm_id", sa.Text, nullable=False),
        sa.Index(None, "crm_id"),
    )
    op.create_table(
        "subjects",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("configuration", sa.Boolean, nullable=False),
    )
    op.create_index(
        "ix_subjects_configuration",
        "subjects",
        ["workspace"],
        sqlite_where=sa.text("configuration = 1"),
        postgresql_where=sa.text("configuration"),
    )
