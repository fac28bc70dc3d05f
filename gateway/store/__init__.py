"""The store: `open_store`, `migrate` and `SqlStore`."""

from __future__ import annotations

from gateway.store.sql import SqlStore, migrate, open_store, workspace_names

__all__ = ["SqlStore", "migrate", "open_store", "workspace_names"]
