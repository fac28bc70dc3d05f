"""What became of events: the ledger's rows and the dead letters, and the whole story of one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.contracts.codec import decode
from gateway.contracts.errors import NotFound, OffsetOutOfRange, Undecodable
from gateway.contracts.events import CampaignEvent, format_time
from gateway.contracts.log import Partition, Position
from gateway.operations.services import Services
