"""Every table of the store: whoever needs the whole schema imports it from here."""

from __future__ import annotations

import gateway.store.configuration_tables  # noqa: F401 -- declares its tables on the metadata
from gateway.store.metadata import metadata

__all__ = ["metadata"]
