"""The rules of docs/architecture.md that can be read off the source: who may import whom, and what pure means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.modules import REPOSITORY, Module, cycles, modules

MODULES = modules()
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
COMPOSITION_ROOT = "gateway.__main__"
ODDS_AND_ENDS = {"utils", "util", "common", "helpers", "misc"}

#: What consumers may know of gateway.
SHARED = ("contracts", "planning", "log", "store", "crm", "telemetry")
#: Pure, whatever their first line says; every other module that calls itself pure there is held to it as well.
PURE_PACKAGES = ("gateway.contracts", "gateway.planning")
PURE_MODULES = ("consumers.lanes", "consumers.gate", "consumers.outcomes", "consumers.brake", "gateway.crm.errors")
#: What reaches outside, tells the time or rolls dice.
IMPURE_MODULES = frozenset(
    (
        "aiohttp",
        "aiokafka",
        "aiosqlite",
        "alembic",
        "asyncio",
        "asyncpg",
        "concurrent",
        "fcntl",
        "glob",
        "http.client",
        "io.open",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "prometheus_client",
        "queue",
        "random",
        "rich",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "sqlalchemy",
        "sqlite3",
        "ssl",
        "structlog",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "typer",
        "urllib.request",
        "uvloop",
        "uuid.uuid1",
        "uuid.uuid4",
    )
)
IMPURE_USES = frozenset(
    (
        "open",
        "print",
        "input",
        "uuid.uuid1",
        "uuid.uuid4",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
    )
)
#: Vendor library → where alone it may be imported.
HOMES = {
    "aiokafka": r"gateway\.log\.kafka\w*",
    "sqlalchemy": r"gateway\.store(\..+)?",
    "alembic": r"gateway\.store(\..+)?",
    "aiosqlite": r"gateway\.store(\..+)?",
    "asyncpg": r"gateway\.store(\..+)?",
    "sqlite3": r"gateway\.(log\.sqlite\w*|store(\..+)?)",
    "typer": r"gateway\.cli",
}
HTTP_CLIENT_HOMES = r"gateway\.(crm|demo)(\..+)?|gateway\.remote"
HTTP_CLIENT = re.compile(r"aiohttp\.(Client\w+|TCPConnector|UnixConnector|BaseConnector|request|client\w*)(\.|$)")


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def any_under(names: Iterable[str], *packages: str) -> bool:
    return any(under(name, *packages) for name in names)


def ours(module: Module) -> set[str]:
    """The modules of ours that it imports."""
    return module.dependencies(MODULES)


PURE = [module for module in MODULES.values() if under(module.name, *PURE_PACKAGES) or module.name in PURE_MODULES]
PURE_BY_THEIR_WORD = [
    module for module in MODULES.values() if re.search(r"\bpure\b", module.first_line, re.I) and module not in PURE
]


def test_a_module_says_first_what_it_answers_for() -> None:
    assert [str(module) for module in MODULES.values() if not module.first_line.strip()] == []


def test_a_module_can_be_read_at_a_sitting() -> None:
    lines = {str(module): len(module.source.splitlines()) for module in MODULES.values()}
    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}


def test_a_function_fits_a_screen() -> None:
    """Migrations are lists of columns, written once and never changed."""
    long = {
        f"{module}: {function.name}": length
        for name, module in MODULES.items()
        if not under(name, "gateway.store.migrations")
        for function in module.functions()
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert [str(module) for module in MODULES.values() if module.path.stem in ODDS_AND_ENDS] == []


def test_no_modules_import_each_other_in_a_ring() -> None:
    assert cycles({name: ours(module) for name, module in MODULES.items()}) == []


def test_a_ring_of_imports_is_seen() -> None:
    """The rule above would hold over any code if this did not."""
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_only_the_composition_root_of_the_gateway_knows_the_consumers() -> None:
    gateway = [module for name, module in MODULES.items() if under(name, "gateway")]
    assert [module.name for module in gateway if any_under(module.imported, "consumers")] == [COMPOSITION_ROOT]


def test_consumers_know_of_the_gateway_only_what_both_share() -> None:
    shared = [f"gateway.{name}" for name in SHARED]
    strange = {
        str(module): others
        for name, module in MODULES.items()
        if under(name, "consumers")
        and (others := {each for each in ours(module) if under(each, "gateway") and not under(each, *shared)})
    }
    assert strange == {}


def test_a_pure_module_knows_only_pure_ones() -> None:
    pure = {module.name for module in PURE} | set(PURE_PACKAGES)
    assert {str(module): others for module in PURE if (others := ours(module) - pure)} == {}


def test_a_pure_module_reaches_nothing_outside_and_knows_neither_time_nor_chance() -> None:
    reached = {
        str(module): names
        for module in (*PURE, *PURE_BY_THEIR_WORD)
        if (names := {n for n in module.imported if under(n, *IMPURE_MODULES)} | (module.used & IMPURE_USES))
    }
    assert reached == {}


def test_the_pure_modules_are_there() -> None:
    """Rules over nothing hold over any code."""
    assert {"gateway.contracts.events", "gateway.planning.activities", "consumers.lanes"} <= {m.name for m in PURE}


@pytest.mark.parametrize("library", HOMES)
def test_a_vendor_library_has_one_home(library: str) -> None:
    importing = {name for name, module in MODULES.items() if any_under(module.imported, library)}
    assert {name for name in importing if not re.fullmatch(HOMES[library], name)} == set()


def test_the_gateway_calls_out_over_http_only_from_its_crm_client() -> None:
    callers = {
        name
        for name, module in MODULES.items()
        if any(HTTP_CLIENT.match(each) for each in module.used | module.imported)
    }
    assert {name for name in callers if not re.fullmatch(HTTP_CLIENT_HOMES, name)} == set()


def test_what_is_pure_is_tested_by_a_file_of_its_name() -> None:
    """Ports, tables of words and errors have no logic to test: a pure module with a function that decides has."""
    deciding = [
        module
        for module in PURE
        if any(len(function.body) > 2 and not function.name.startswith("_") for function in module.functions())
    ]
    expected = {module: module.path.relative_to(REPOSITORY) for module in deciding}
    missing = [
        str(module)
        for module, path in expected.items()
        if not (REPOSITORY / "tests" / Path(*path.parts[-2:]).parent / f"test_{path.name}").exists()
    ]
    assert missing == []
