"""Every table of the store: whoever needs the whole schema imports it from here."""

from __future__ import annotations

import gateway.store.configuration_tables
import gateway.store.delivery_tables  # noqa: F401 -- likewise
from gateway.store.metadata import metadata

__all__ = ["metadata"]
