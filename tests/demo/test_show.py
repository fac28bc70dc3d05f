"""The demo's exit code is its verdict: 0 for an honest run, 1 as soon as the CRM's records were tampered with."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.demo.crm import DemoCrm
from gateway.demo.show import Plot, run_demo
from tests.support.pages import README

SHORT = Plot(contacts=10, sending_s=1.0, away_events=40)


def delete_an_activity(crm: DemoCrm) -> None:
    crm.records.activities.pop(next(iter(crm.records.activities)))


def double_an_activity(crm: DemoCrm) -> None:
    activities = crm.records.activities
    activities[crm.records.new_id("act")] = dict(next(iter(activities.values())))


def swap_two_of_one_contact(crm: DemoCrm) -> None:
    activities = crm.records.activities
    first, row = next(iter(activities.items()))
    second = next(key for key in activities if key != first and activities[key]["contactId"] == row["contactId"])
    activities[first], activities[second] = activities[second], activities[first]


def give_one_to_somebody_else(crm: DemoCrm) -> None:
    next(iter(crm.records.tasks.values()))["ownerId"] = "u-20"


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (None, "PROVEN: lost 0, doubled 0, out of order 0, wrong 0"),
        (delete_an_activity, "NOT PROVEN: lost 1, doubled 0"),
        (double_an_activity, "NOT PROVEN: lost 0, doubled 1"),
        (swap_two_of_one_contact, "NOT PROVEN: lost 0, doubled 0, out of order 1"),
        (give_one_to_somebody_else, "NOT PROVEN: lost 0, doubled 0, out of order 0, wrong 1"),
    ],
)
async def test_the_exit_code_is_the_verdict(
    tamper: Callable[[DemoCrm], None] | None, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code = await run_demo(once=True, tamper=tamper, plot=SHORT)
    said = capfd.readouterr().out
    assert told in said
    assert code == (0 if tamper is None else 1)


async def test_the_command_shows_the_main_job_without_a_terminal(tmp_path: Path) -> None:
    """Settings of the environment do not reach it, and nothing is left behind."""
    environment = os.environ | {"CAMPAIGN_LOG_URL": "kafka://nowhere", "CAMPAIGN_PUBLIC_LISTEN": "nonsense"}
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--once",
        env=environment | {"TMPDIR": str(tmp_path)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = (await asyncio.wait_for(demo.communicate(), 110))[0].decode()
    assert demo.returncode == 0, said
    assert "PROVEN: lost 0, doubled 0, out of order 0, wrong 0, refused by the CRM 1, of which dead letters 1" in said
    assert _number(r"Sent: ([\d,]+) events", said) >= 2_000
    assert _number(r"Accepted meanwhile: ([\d,]+)", said) >= 200
    assert _number(r"Two campaigns with ([\d,]+) contacts", said) >= 200
    assert "\x1b" not in said
    assert {_form(line) for line in README.blocks("text")[0].splitlines()} <= {
        _form(line) for line in said.splitlines()
    }
    assert os.listdir(tmp_path) == []


async def test_ctrl_c_ends_the_demo_and_its_gateway(tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo",
        env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert demo.stdout is not None
    address = re.search(r"http://127\.0\.0\.1:(\d+)/v1", await _until(demo.stdout, "/v1/status"))
    assert address is not None
    await _until(demo.stdout, "accepted")
    demo.send_signal(2)
    rest = (await asyncio.wait_for(demo.communicate(), 60))[0].decode()
    assert demo.returncode == 130, rest
    assert "Traceback" not in rest
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", int(address.group(1)))
    assert os.listdir(tmp_path) == []


async def _until(stream: asyncio.StreamReader, text: str) -> str:
    async with asyncio.timeout(30):
        async for line in stream:
            if text in line.decode():
                return line.decode()
    raise AssertionError(f"the demo never said {text!r}")


def _form(line: str) -> str:
    """A line without its numbers, blanks and keys: what stays from run to run."""
    return re.sub(r"[\d,]+|\s+", " ", re.sub(r"^API key .*", "API key", line))


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found.group(1).replace(",", ""))
