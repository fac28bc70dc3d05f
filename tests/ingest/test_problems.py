from __future__ import annotations

from http import HTTPStatus

import orjson

from gateway.ingest.problems import Refused, too_large, unavailable
from gateway.telemetry import Refusal


def test_a_refusal_is_a_problem_document() -> None:
    refused = Refused(HTTPStatus.NOT_FOUND, Refusal.UNKNOWN_PATH, "Look elsewhere.", members={"errors": []})
    answer = refused.answer()
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert orjson.loads(answer.body) == {  # type: ignore[arg-type]
        "title": "Not Found",
        "status": 404,
        "detail": "Look elsewhere.",
        "errors": [],
    }
    assert not refused.temporary


def test_what_may_be_taken_later_says_when() -> None:
    refused = unavailable(Refusal.LOG_AWAY, "Later.", retry_after_s=5)
    assert refused.temporary
    assert refused.answer().headers["Retry-After"] == "5"


def test_too_large_a_body_ends_the_connection() -> None:
    answer = too_large(1024 * 1024).answer()
    assert answer.status == 413
    assert answer.keep_alive is False
