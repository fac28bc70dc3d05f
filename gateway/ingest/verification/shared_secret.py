"""A shared secret in a header: it proves who sends, and nothing about the body."""

from __future__ import annotations

import hmac
from collections.abc import Sequence


def proves(secrets: Sequence[str], presented: str | None) -> bool:
    """Whether what was presented is one of the secrets; without a secret nothing is proof.

    Takes the same time whichever secret it is, and however much of one it gets right."""
    given = (presented or "").encode(errors="surrogateescape")
    proven = False
    for secret in secrets:
        same = hmac.compare_digest(secret.encode(), given)
        proven = proven or (same and bool(secret))
    return proven
