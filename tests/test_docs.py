"""The pages say what the program does: settings, commands, endpoints, states, metrics, and a README that runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer.main
import yaml

from docs import generate_settings
from gateway import cli
from gateway.api.policies import PoliciesDocument
from gateway.api.routes import ROUTES
from gateway.contracts.event_types import EVENT_TYPES, PREFIX
from gateway.contracts.states import Reason, State, Step
from gateway.settings import PREFIX as SETTINGS_PREFIX
from gateway.settings import Settings, load_settings
from gateway.telemetry import Metrics
from tests.support.eventually import eventually
from tests.support.gateway import free_port
from tests.support.pages import PAGES, README, REPOSITORY, Page, code, page

LIFECYCLE, INTERFACES = page("lifecycle.md"), page("interfaces.md")
LOCKS = ("requirements.lock", "requirements-dev.lock")


def commands() -> set[str]:
    class Nothing:
        """Commands are listed, not run."""

    group = typer.main.get_group(cli.application(Nothing()))  # type: ignore[arg-type]
    return set(group.commands)  # type: ignore[attr-defined]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.M))


# -- pages against the program ------------------------------------------------------------------------------------


def test_the_settings_page_is_what_the_model_says() -> None:
    assert generate_settings.PAGE.read_text(encoding="utf-8") == generate_settings.page()


def test_the_lifecycle_defines_every_state_once() -> None:
    defined = Counter(name for row in LIFECYCLE.table("state") for name in code(row[0]))
    assert defined == Counter(state.value for state in State)


def test_the_lifecycle_defines_every_reason_once() -> None:
    defined = Counter(name for row in LIFECYCLE.table("reason") for name in code(row[0]))
    assert defined == Counter(reason.value for reason in Reason)


def test_the_lifecycle_defines_every_step_of_a_death_once() -> None:
    defined = Counter(name for row in LIFECYCLE.table("step") for name in code(row[0]))
    assert defined == Counter(step.value for step in Step)


def test_the_interfaces_list_every_call_of_the_api() -> None:
    listed = set()
    for row in INTERFACES.table("call"):
        methods: list[str] = []
        for text in code(row[0]):
            method, _, path = text.partition(" ") if not text.startswith("/") else ("GET", " ", text)
            methods.append(method)
            if path:
                listed |= {(each, re.sub(r"{\w+}", "{}", path)) for each in methods}
                methods = []
    assert listed == {(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in ROUTES}


def test_the_interfaces_list_every_policy() -> None:
    policies = INTERFACES.text.partition("**Policies**")[2].partition("\n\n")[0]
    named = {name for name in code(policies) if name in PoliciesDocument.model_json_schema()["properties"]}
    assert named == set(PoliciesDocument.model_json_schema()["properties"])


def test_the_interfaces_list_every_metric_with_its_labels() -> None:
    listed = {}
    for row in INTERFACES.table("name"):
        listed[code(row[0])[0].removesuffix("_total")] = {label.strip() for label in row[1].split(",")}
    families = Metrics()._registry.collect()
    labels = {each.name: set(_labels(each.name)) for each in families}
    assert listed == labels


def _labels(name: str) -> tuple[str, ...]:
    registry = Metrics()._registry
    return next(c._labelnames for c in registry._collector_to_names if c._name == name)  # type: ignore[attr-defined]


def test_the_interfaces_list_every_event_type_a_sender_may_use() -> None:
    listed = {name for row in INTERFACES.table("type, after `campaign.`") for name in code(row[0])}
    assert listed == {name.removeprefix(PREFIX) for name, each in EVENT_TYPES.items() if not each.internal}


def test_the_interfaces_say_which_row_a_type_owes() -> None:
    for row in INTERFACES.table("type, after `campaign.`"):
        owed = {EVENT_TYPES[PREFIX + name].owes for name in code(row[0])}
        assert {target.value if target else "–" for target in owed} == {row[2]}, row


def test_the_interfaces_list_every_command() -> None:
    assert {code(row[0])[0].split()[1] for row in INTERFACES.table("command")} == commands()


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_command_a_page_names_exists(each: Page) -> None:
    named = set(re.findall(r"`gateway ([a-z-]+)", each.text))
    named |= {name for block in each.blocks("sh", "console") for name in re.findall(r"\bgateway ([a-z-]+)", block)}
    assert named <= commands()


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_make_target_a_page_names_exists(each: Page) -> None:
    named = re.findall(r"`make ((?:[a-z]+ ?)+)", each.text) + re.findall(r"^make ([a-z]+)", each.text, re.M)
    assert {target for names in named for target in names.split()} <= targets()


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_link_between_pages_leads_somewhere(each: Page) -> None:
    assert [link for link in each.links() if not (each.path.parent / link).exists()] == []


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_sample_of_settings_is_one(each: Page, tmp_path: Path) -> None:
    for block in each.blocks("toml"):
        (tmp_path / "gateway.toml").write_text(block, encoding="utf-8")
        load_settings(tmp_path / "gateway.toml")


@pytest.mark.parametrize("each", [p for p in PAGES if p.path.parent.name == "decisions"], ids=str)
def test_a_decision_answers_the_questions_of_the_template(each: Page) -> None:
    parts = re.findall(r"^\*\*(\w+)\.\*\* \S", each.text, re.M)
    assert parts in (["Question", "Decision", "Why", "Price"], ["Question", "Decision", "Why"])
    assert re.match(r"# (N|\d+)\. .+\n\n(YYYY-MM-DD|\d{4}-\d\d-\d\d) · ", each.text)


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    reasons = page("decisions/0001-dependencies.md").text.lower()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    names = [re.match(r"[\w-]+", each).group().lower() for each in wanted]  # type: ignore[union-attr]
    assert [name for name in names if name not in reasons] == []


# -- what is locked and composed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_address(name: str) -> None:
    lock = (REPOSITORY / name).read_text()
    pins = re.findall(r"^[\w.-]+(?:\[[\w,]+\])?==\S+ \\\n    --hash=", lock, re.M)
    assert len(pins) == len(re.findall(r"^[a-zA-Z]", lock, re.M))
    assert not re.search(r"://|^-|@ |/\w+/\w+/", lock, re.M)


def test_both_locks_agree() -> None:
    runtime, development = (dict(re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / n).read_text(), re.M)) for n in LOCKS)
    assert runtime.items() <= development.items()


def test_the_repository_names_no_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    machine = re.compile(
        "|".join(rf"(?<![\w./-])/{place}/\w" for place in ("work", "root", "home", "Users", "opt/wheels"))
    )
    naming = [
        name
        for name in listed.split()
        if (REPOSITORY / name).is_file() and machine.search((REPOSITORY / name).read_text(errors="replace"))
    ]
    assert naming == []


def compose() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())  # type: ignore[no-any-return]


def test_the_composed_services_are_pinned_checked_and_not_root() -> None:
    for name, service in compose()["services"].items():
        assert re.fullmatch(r"[\w/.-]+:\d+\.\d+[\w.-]*", service["image"]), name
        assert service["user"].split(":")[0] not in {"root", "0"}, name
        once = name in {"migrate", "topics"}
        assert ("healthcheck" in service) != once, name
        assert ("restart" in service) != once, name


def test_the_composed_processes_run_commands_and_settings_that_exist() -> None:
    known = {SETTINGS_PREFIX + name.upper() for name in Settings.model_fields}
    run = []
    for service in compose()["services"].values():
        if "build" in service:
            run.append(service["command"][0])
            assert set(service.get("environment", {})) <= known
    assert Counter(run) == Counter(["migrate", "topics", "serve", "consume", "consume", "demo-crm"])
    assert set(run) <= commands()


def test_every_secret_of_the_composition_is_in_the_example() -> None:
    wanted = set(re.findall(r"\${(\w+)", (REPOSITORY / "docker-compose.yml").read_text()))
    example = set(re.findall(r"^(\w+)=$", (REPOSITORY / ".env.example").read_text(), re.M))
    assert example == wanted


# -- the README runs ----------------------------------------------------------------------------------------------


def test_every_block_of_the_readme_is_run_or_read() -> None:
    """`sh` runs below, `toml` is loaded above; the rest is shown: output, and what needs servers."""
    assert README.languages <= {"sh", "toml", "text", "console", ""}


async def test_the_readme_runs(tmp_path: Path) -> None:
    """Every block, one after another, as a reader would paste them; then both events have arrived."""
    ports = {port: str(free_port()) for port in ("8080", "8081", "3456")}
    script = "\n".join(README.blocks("sh"))
    for port, free in ports.items():
        script = re.sub(rf"\b{port}\b", free, script)
    environment = _reader_environment(tmp_path, ports)
    with (tmp_path / "output").open("wb") as output:
        reader = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", script,
            cwd=tmp_path, env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        said = tmp_path / "output"
        assert await asyncio.wait_for(reader.wait(), 60) == 0, said.read_text()[-3000:]
        key = re.search(r"CAMPAIGN_ADMIN_KEY=(\S+)", script)
        assert key is not None
        async with aiohttp.ClientSession(headers={"x-api-key": key.group(1)}) as session:

            async def states() -> dict[str, str] | None:
                async with session.get(f"http://127.0.0.1:{ports['8081']}/v1/deliveries") as answer:
                    found = {row["target"]: row["state"] for row in (await answer.json())["data"]}
                return found if set(found.values()) == {"delivered"} else None

            assert set(await eventually(states, within_s=15)) == {"activities", "tasks"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(reader.pid, signal.SIGKILL)


def _reader_environment(folder: Path, ports: dict[str, str]) -> dict[str, str]:
    """A reader's machine: our virtual environment as theirs, and a `make` that only looks whether its targets exist."""
    (folder / ".venv").symlink_to(sys.prefix)
    programs = folder / "programs"
    programs.mkdir()
    make = programs / "make"
    make.write_text(f'#!/bin/sh\nexec env PATH="$REAL_PATH" make -C "{REPOSITORY}" -n "$@" > /dev/null\n')
    make.chmod(make.stat().st_mode | stat.S_IXUSR)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS_PREFIX)}
    return inherited | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "REAL_PATH": os.environ["PATH"],
        "CAMPAIGN_PUBLIC_LISTEN": f"127.0.0.1:{ports['8080']}",
        "CAMPAIGN_ADMIN_LISTEN": f"127.0.0.1:{ports['8081']}",
    }
