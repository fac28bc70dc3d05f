"""The modules of both packages as their source says: what each imports, uses and promises. Nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "consumers")


@dataclass(frozen=True)
class Module:
    """One source file of ours."""

    name: str
    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(REPOSITORY))

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def first_line(self) -> str:
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]

    @cached_property
    def imported(self) -> frozenset[str]:
        """Dotted names of everything imported at run time; `a.b` and `a.b.c` for `from a.b import c`."""
        return frozenset(name for statement in self._imports(self.tree) for name in _names(statement))

    def dependencies(self, known: Container[str]) -> set[str]:
        """The modules among `known` that it imports: `from a import b` is one on `a.b` where that is a module."""
        found = set()
        for statement in self._imports(self.tree):
            for name in _members(statement):
                found.add(name if name in known else name.rpartition(".")[0])
        return {name for name in found if name in known and name != self.name}

    @cached_property
    def used(self) -> frozenset[str]:
        """Names and attribute paths that occur in the code, by the names that they were imported under."""
        aliases: dict[str, str] = {}
        for statement in self._imports(self.tree):
            for alias in statement.names:
                if isinstance(statement, ast.ImportFrom):
                    aliases[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
                elif alias.asname:
                    aliases[alias.asname] = alias.name
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute) and (path := _path(node)):
                head, dot, rest = path.partition(".")
                found.add(aliases.get(head, head) + dot + rest)
        return frozenset(found)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def _imports(self, node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child
            elif not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
                yield from self._imports(child)


def modules() -> dict[str, Module]:
    """Every module of both packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path)
    return found


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Every group of modules that import each other in a ring."""
    reach = {name: _reachable(name, edges) for name in edges}
    rings = {frozenset(other for other in reach[name] if name in reach.get(other, ())) for name in edges}
    return sorted(sorted(ring) for ring in rings if ring)


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [*edges.get(start, ())]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges.get(name, ()))
    return found


def _names(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(statement, ast.ImportFrom):
        assert statement.module, "imports are absolute"
        yield statement.module
    yield from _members(statement)


def _members(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    prefix = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
    yield from (prefix + alias.name for alias in statement.names)


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := _path(node.value)):
        return f"{head}.{node.attr}"
    return None
