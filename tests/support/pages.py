"""The project's pages, read as data: their code blocks, tables, sections and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(REPOSITORY))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[str]:
        """Contents of the code blocks in these languages, in their order."""
        return [content for language, content in _FENCE.findall(self.text) if language in languages]

    @property
    def languages(self) -> set[str]:
        return {language for language, _ in _FENCE.findall(self.text)}

    def table(self, head: str) -> list[list[str]]:
        """The rows, as cells, of all tables whose first column is headed so."""
        rows: list[list[str]] = []
        inside = False
        for line in self.text.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
            if not cells:
                inside = False
            elif not inside:
                inside = cells[0] == head
            elif not set(line) <= set("|- "):
                rows.append(cells)
        return rows

    def links(self) -> Iterator[str]:
        """Targets of its links to other files of the repository."""
        yield from (target for target in _LINK.findall(self.text) if "://" not in target)


README = Page(REPOSITORY / "README.md")
PAGES = [README, Page(REPOSITORY / "CHANGELOG.md"), *map(Page, sorted((REPOSITORY / "docs").rglob("*.md")))]


def page(name: str) -> Page:
    """A page of docs/."""
    return Page(REPOSITORY / "docs" / name)


def code(cell: str) -> list[str]:
    """What stands in backquotes in a cell."""
    return re.findall(r"`([^`]+)`", cell)
