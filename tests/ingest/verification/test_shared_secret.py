from __future__ import annotations

import hmac

import pytest

from gateway.ingest.verification.shared_secret import proves


def test_the_secret_proves_the_sender() -> None:
    assert proves(("s3cret-one",), "s3cret-one")


@pytest.mark.parametrize("presented", [None, "", "s3cret-on", "s3cret-onee", "S3CRET-ONE", "s3cret-oné", "\udcff"])
def test_anything_else_does_not(presented: str | None) -> None:
    assert not proves(("s3cret-one",), presented)


def test_either_of_two_secrets_proves_during_rotation() -> None:
    assert proves(("new-secret", "old-secret"), "new-secret")
    assert proves(("new-secret", "old-secret"), "old-secret")
    assert not proves(("new-secret", "old-secret"), "older-secret")


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_a_source_without_a_secret_has_no_proof(secrets: tuple[str, ...]) -> None:
    assert not proves(secrets, "")
    assert not proves(secrets, None)


def test_every_secret_is_compared_in_constant_time_whatever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(secret: bytes, given: bytes) -> bool:
        compared.append((secret, given))
        return secret == given

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert proves(("first", "second", "third"), "first")
    assert compared == [(b"first", b"first"), (b"second", b"first"), (b"third", b"first")]
