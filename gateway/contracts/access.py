"""Who may do what: an API key's scopes and reach, told from the configuration in memory."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from gateway.contracts.configuration import Configuration


class Scope(StrEnum):
    """What a key may do."""

    INGEST = "ingest"
    READ = "read"
    OPERATE = "operate"
    CONFIGURE = "configure"


@dataclass(frozen=True, slots=True)
class Access:
    """What the holder of a key may do. `workspaces` None: in every workspace."""

    key_id: str
    scopes: frozenset[str]
    workspaces: frozenset[str] | None

    def may(self, scope: Scope) -> bool:
        """Whether the key has that scope; `configure` implies `read`."""
        return scope in self.scopes or (scope is Scope.READ and Scope.CONFIGURE in self.scopes)

    def reaches(self, workspace: str) -> bool:
        """Whether the key counts in that workspace."""
        return self.workspaces is None or workspace in self.workspaces


def key_hash(key: str) -> str:
    """The form in which a key is kept: hex of SHA-256."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def access_of(key: str, configuration: Configuration, *, admin_key_hash: str | None) -> Access | None:
    """What that key may do; None when nobody issued it. Takes the same time whichever key it is."""
    presented = key_hash(key)
    found = None
    for known in configuration.keys.values():
        if hmac.compare_digest(known.hash, presented):
            found = Access(known.id, known.scopes, known.workspaces)
    if admin_key_hash is not None and hmac.compare_digest(admin_key_hash, presented):
        found = Access("admin", frozenset(Scope), None)
    return found
