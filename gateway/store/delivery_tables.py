"""The tables of deliveries: ledger, attempts, waiting queues, creations, contact updates, dead letters, event index."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from gateway.store.columns import UtcTime
from gateway.store.metadata import metadata

#: SQLite numbers rows by themselves only in a column of type INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")

#: Who owns a partition: raised whenever it changes hands.
generations = Table(
    "generations",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("process", Text, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    #: The effect id.
    Column("id", String(36), primary_key=True),
    Column("workspace", String(63), nullable=False),
    Column("event", String(36), nullable=False),
    Column("target", String(16), nullable=False),
    Column("run", String(36), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("crm_id", Text),
    #: The token of the claim in force, and the process that holds it.
    Column("claim", String(32)),
    Column("claimed_by", Text),
    #: The token that settled last: a settlement told twice is the same one.
    Column("settled_claim", String(32)),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("campaign", Text),
    Column("contact", Text),
    Column("contact_key", Text, nullable=False),
    Column("task", Text),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("plan", Text),
    Column("owner", Text),
    Column("owner_rule", Text),
    Column("attempt_count", Integer, nullable=False),
    Column("doubted", Integer, nullable=False),
    #: Settlements that came after the claim was lost: each may be a second record in the CRM.
    Column("late", Integer, nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("uq_ledger_delivery", "workspace", "event", "target", "run", unique=True),
    Index("ix_ledger_contact", "workspace", "contact_key", "occurred_at"),
    Index("ix_ledger_newest", "workspace", "created_at", "id"),
    Index("ix_ledger_crm_id", "workspace", "target", "crm_id"),
)
#: One delivery at a time is claimed for a contact and target, whoever claims.
Index(
    "uq_ledger_claimed",
    ledger.c.workspace,
    ledger.c.target,
    ledger.c.contact_key,
    unique=True,
    sqlite_where=ledger.c.claim.is_not(None),
    postgresql_where=ledger.c.claim.is_not(None),
)
#: What is not delivered is counted by the status every second and listed by its state, and is little of the whole.
Index(
    "ix_ledger_open",
    ledger.c.workspace,
    ledger.c.state,
    ledger.c.target,
    ledger.c.created_at,
    ledger.c.id,
    sqlite_where=ledger.c.state != "delivered",
    postgresql_where=ledger.c.state != "delivered",
)
Index(
    "ix_ledger_task",
    ledger.c.workspace,
    ledger.c.source,
    ledger.c.task,
    sqlite_where=ledger.c.task.is_not(None),
    postgresql_where=ledger.c.task.is_not(None),
)

attempts = Table(
    "attempts",
    metadata,
    Column("number", _Serial, primary_key=True, autoincrement=True),
    Column("delivery", String(36), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer),
    Column("duration_us", BigInteger, nullable=False),
    Column("error", Text),
    Column("answer", Text),
    #: The record that an answer named which came after the claim was lost.
    Column("crm_id", Text),
)

#: A queue has a row while it is not empty: what its first entry waits for.
waiting_queues = Table(
    "waiting_queues",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("target", String(16), primary_key=True),
    Column("queue", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    #: The first entry. Topic and partition are those of its record: its owner is who runs it.
    Column("head", BigInteger, nullable=False),
    #: What it waits for; None: it is due. Whoever raises the subject empties this in the same transaction.
    Column("subject", Text),
    Column("expires_at", UtcTime),
    # What is due is found without a look at what is not, oldest first.
    Index("ix_waiting_queues_subject", "workspace", "subject", "head"),
    Index("ix_waiting_queues_expires_at", "workspace", "expires_at"),
)

waiting_entries = Table(
    "waiting_entries",
    metadata,
    Column("number", _Serial, primary_key=True, autoincrement=True),
    Column("workspace", String(63), nullable=False),
    Column("target", String(16), nullable=False),
    Column("queue", Text, nullable=False),
    Column("delivery", String(36), nullable=False, unique=True),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    #: JSON: pairs of a name and base64 text.
    Column("headers", Text, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("joined_at", UtcTime, nullable=False),
    #: Its own hold; without one it waits behind another.
    Column("reason", Text),
    Column("subject", Text),
    Column("subject_version", BigInteger),
    Column("policy_version", BigInteger),
    Column("expires_at", UtcTime),
    Column("detail", Text),
    Index("ix_waiting_entries_queue", "workspace", "target", "queue", "number"),
    # A number is never given twice: whoever still holds that of a removed entry must not meet another one.
    sqlite_autoincrement=True,
)

effects = Table(
    "effects",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("workspace", String(63), nullable=False),
    Column("crm_id", Text),
    Column("claim", String(32)),
    Column("claimed_by", Text),
    Column("doubted", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

contact_updates = Table(
    "contact_updates",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("contact_key", Text, primary_key=True),
    Column("crm_id", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("written_version", BigInteger, nullable=False),
    Column("event", String(36), nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
)
Index(
    "ix_contact_updates_wanted",
    contact_updates.c.workspace,
    contact_updates.c.topic,
    contact_updates.c.partition,
    sqlite_where=contact_updates.c.written_version < contact_updates.c.version,
    postgresql_where=contact_updates.c.written_version < contact_updates.c.version,
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("workspace", String(63), nullable=False),
    Column("event", String(36)),
    Column("target", String(16)),
    Column("step", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("answer", Text),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_dead_letters_newest", "workspace", "at", "id"),
)

gates = Table(
    "gates",
    metadata,
    Column("workspace", String(63), primary_key=True),
    Column("process", Text, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("until", UtcTime),
    Column("reason", Text),
    #: JSON: the targets that the CRM has no call for.
    Column("not_offered", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)

event_index = Table(
    "event_index",
    metadata,
    Column("event", String(36), primary_key=True),
    Column("workspace", String(63), nullable=False),
    Column("sender_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("owes", String(16)),
    Column("contact_key", Text, nullable=False),
    Column("contact", Text),
    Column("campaign", Text),
    Column("occurred_at", UtcTime, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    #: JSON: what the sender calls those whom the event names.
    Column("names", Text),
    Index("ix_event_index_newest", "workspace", "accepted_at", "event"),
    Index("ix_event_index_source", "workspace", "source", "accepted_at"),
)
