"""Deliveries: ledger, attempts, waiting queues, creations, contact updates, dead letters, event index, generations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_attempts()
    _create_contact_updates()
    _create_dead_letters()
    _create_effects()
    _create_event_index()
    _create_gates()
    _create_generations()
    _create_ledger()
    _create_waiting_entries()
    _create_waiting_queues()


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("delivery", sa.String(length=36), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("crm_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_attempts"),
    )
    op.create_index("ix_attempts_delivery", "attempts", ["delivery"], unique=False)


def _create_contact_updates() -> None:
    op.create_table(
        "contact_updates",
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("contact_key", sa.Text(), nullable=False),
        sa.Column("crm_id", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("written_version", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=36), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "contact_key", name="pk_contact_updates"),
    )
    op.create_index(
        "ix_contact_updates_wanted",
        "contact_updates",
        ["workspace", "topic", "partition"],
        unique=False,
        sqlite_where=sa.text("written_version < version"),
        postgresql_where=sa.text("written_version < version"),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("event", sa.String(length=36), nullable=True),
        sa.Column("target", sa.String(length=16), nullable=True),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
    )
    op.create_index("ix_dead_letters_newest", "dead_letters", ["workspace", "at", "id"], unique=False)


def _create_effects() -> None:
    op.create_table(
        "effects",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("crm_id", sa.Text(), nullable=True),
        sa.Column("claim", sa.String(length=32), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("doubted", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_effects"),
    )


def _create_event_index() -> None:
    op.create_table(
        "event_index",
        sa.Column("event", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("sender_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("owes", sa.String(length=16), nullable=True),
        sa.Column("contact_key", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.Column("accepted_at", UtcTime(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("names", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("event", name="pk_event_index"),
    )
    op.create_index("ix_event_index_newest", "event_index", ["workspace", "accepted_at", "event"], unique=False)
    op.create_index("ix_event_index_source", "event_index", ["workspace", "source", "accepted_at"], unique=False)


def _create_gates() -> None:
    op.create_table(
        "gates",
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("not_offered", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "process", name="pk_gates"),
    )


def _create_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_generations"),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("event", sa.String(length=36), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("crm_id", sa.Text(), nullable=True),
        sa.Column("claim", sa.String(length=32), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("settled_claim", sa.String(length=32), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("contact", sa.Text(), nullable=True),
        sa.Column("contact_key", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("owner_rule", sa.Text(), nullable=True),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("doubted", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("occurred_at", UtcTime(), nullable=False),
        sa.Column("accepted_at", UtcTime(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
    )
    op.create_index("ix_ledger_contact", "ledger", ["workspace", "contact_key", "occurred_at"], unique=False)
    op.create_index("ix_ledger_crm_id", "ledger", ["workspace", "target", "crm_id"], unique=False)
    op.create_index("ix_ledger_newest", "ledger", ["workspace", "created_at", "id"], unique=False)
    op.create_index(
        "ix_ledger_open",
        "ledger",
        ["workspace", "state", "target", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("state != 'delivered'"),
        postgresql_where=sa.text("state != 'delivered'"),
    )
    op.create_index(
        "ix_ledger_task",
        "ledger",
        ["workspace", "source", "task"],
        unique=False,
        sqlite_where=sa.text("task IS NOT NULL"),
        postgresql_where=sa.text("task IS NOT NULL"),
    )
    op.create_index(
        "uq_ledger_claimed",
        "ledger",
        ["workspace", "target", "contact_key"],
        unique=True,
        sqlite_where=sa.text("claim IS NOT NULL"),
        postgresql_where=sa.text("claim IS NOT NULL"),
    )
    op.create_index("uq_ledger_delivery", "ledger", ["workspace", "event", "target", "run"], unique=True)


def _create_waiting_entries() -> None:
    op.create_table(
        "waiting_entries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("delivery", sa.String(length=36), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", UtcTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("subject_version", sa.BigInteger(), nullable=True),
        sa.Column("policy_version", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", UtcTime(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_waiting_entries"),
        sa.UniqueConstraint("delivery", name="uq_waiting_entries_delivery"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_waiting_entries_queue", "waiting_entries", ["workspace", "target", "queue", "number"], unique=False
    )


def _create_waiting_queues() -> None:
    op.create_table(
        "waiting_queues",
        sa.Column("workspace", sa.String(length=63), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("expires_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("workspace", "target", "queue", name="pk_waiting_queues"),
    )
    op.create_index("ix_waiting_queues_subject", "waiting_queues", ["workspace", "subject", "head"], unique=False)
    op.create_index("ix_waiting_queues_expires_at", "waiting_queues", ["workspace", "expires_at"], unique=False)
