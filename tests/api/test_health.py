"""/healthz, /readyz and /metrics over a socket."""

from __future__ import annotations

import pytest

from gateway.contracts.errors import LogUnavailable
from tests.api.conftest import Api


async def test_a_running_process_is_healthy_whatever_happens(api: Api) -> None:
    api.state.ready, api.state.stopping = False, True
    reply = await api.get("/healthz")
    assert (reply.status, reply.document) == (200, {"status": "ok"})


async def test_a_gateway_that_takes_events_is_ready(api: Api) -> None:
    assert (await api.get("/readyz")).status == 200


@pytest.mark.parametrize(("ready", "stopping", "told"), [(False, False, "starting"), (True, True, "stopping")])
async def test_a_gateway_that_starts_or_stops_is_not_ready(api: Api, ready: bool, stopping: bool, told: str) -> None:
    api.state.ready, api.state.stopping = ready, stopping
    reply = await api.get("/readyz")
    assert reply.status == 503
    assert told in reply.document["detail"]
    assert "Retry-After" in reply.headers


async def test_a_gateway_whose_log_takes_no_writes_is_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unhealthy() -> bool:
        return False

    async def broken() -> bool:
        raise LogUnavailable("away")

    for healthy in (unhealthy, broken):
        monkeypatch.setattr(api.services.log, "healthy", healthy)
        assert (await api.get("/readyz")).status == 503


async def test_metrics_are_in_the_prometheus_text_format(api: Api) -> None:
    api.services.metrics.gate_open.labels("default").set(1)  # type: ignore[attr-defined]
    reply = await api.get("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'campaign_gate_open{workspace="default"} 1.0' in reply.text
