"""Every table of the store: whoever needs the whole schema imports it from here."""

from __future__ import annotations

from gateway.store.metadata import metadata

__all__ = ["metadata"]
