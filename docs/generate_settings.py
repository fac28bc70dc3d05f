"""Writes docs/settings.md from the model in gateway/settings.py: `make docs`."""

from __future__ import annotations

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.settings import CONFIG, PREFIX, Listen, Settings

PAGE = Path(__file__).with_name("settings.md")
HEAD = f"""# Settings

Written by `make docs` from `gateway/settings.py`.

Each setting is an environment variable, or the same name in lower case without `{PREFIX}` in a TOML file that
`--config` or `{CONFIG}` names. The environment wins; an empty variable counts as none. Settings are read once, at the
start. An unknown name or a wrong value ends the start with exit code 1 and one line that says what is wrong; the value
of a secret is never part of it.

```toml
# gateway.toml
log_url = "kafka://broker-1:9092,broker-2:9092"
store_url = "postgresql://gateway@db/gateway"
public_url = "https://events.example.com"
```
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(name, field) for name, field in Settings.model_fields.items())])


def _section(name: str, field: FieldInfo) -> str:
    return f"## `{PREFIX}{name.upper()}`\n\n{field.description}\n\n{_kind(field)}. {_default(field)}.\n"


def _kind(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return "One of " + ", ".join(f"`{each}`" for each in get_args(kind))
    return {
        str: "Text",
        bool: "`true` or `false`",
        float: "A number",
        Listen: "An address, `host:port`",
        SecretStr: "A secret",
    }[kind]  # type: ignore[index]


def _default(field: FieldInfo) -> str:
    match field.default:
        case None:
            return "No default"
        case bool(value):
            return f"Default: `{str(value).lower()}`"
        case float(value):
            return f"Default: `{value:g}`"
        case value:
            return f"Default: `{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
