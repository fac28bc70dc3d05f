"""The settings of a process: read once at the start, checked, and refused with one sentence where they are wrong."""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.contracts.errors import SettingsError

PREFIX = "CAMPAIGN_"
#: Names the file of settings; not a setting itself, since a file cannot name the file.
CONFIG = PREFIX + "CONFIG"
ADMIN_KEY_CHARACTERS_MIN = 16
SECRET_KEY_CHARACTERS_MIN = 32


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Listen:
        """`host:port`, IPv6 hosts in brackets. ValueError with a sentence for anything else."""
        host, colon, port = text.strip().rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} needs brackets round its IPv6 address, such as [::1]:8080")
        if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"{text!r} is not host:port, such as 127.0.0.1:8080 or [::1]:8080")
        return cls(host, int(port))


def _listen(value: object) -> object:
    return Listen.parse(value) if isinstance(value, str) else value


ListenAddress = Annotated[Listen, NoDecode, BeforeValidator(_listen)]


class Settings(BaseSettings):
    """Every setting, by its name in lower case without prefix (docs/settings.md is made from this model)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    log_url: str = Field(
        "sqlite:///data/log.db",
        repr=False,
        description="Where accepted events are kept: `sqlite:///<path>` (one process), "
        "`kafka://host:port,host:port?security=…&mechanism=…&ca=…` (any number of processes), "
        "or `memory:` (lost at the end; for trying out).",
    )
    store_url: str = Field(
        "sqlite:///data/state.db",
        repr=False,
        description="Where configuration, the ledger and everything else is kept: `sqlite:///<path>` (one process) or "
        "`postgresql://…` as libpq writes it, sockets included (any number of processes).",
    )
    public_listen: ListenAddress = Field(
        Listen("0.0.0.0", 8080),  # noqa: S104 -- senders reach this listener from outside
        description="Address of the public listener: webhooks, events, `/healthz`, `/readyz`.",
    )
    admin_listen: ListenAddress = Field(
        Listen("127.0.0.1", 8081),
        description="Address of the admin listener: management API, console, metrics, `/healthz`, `/readyz`.",
    )
    consume_listen: ListenAddress | None = Field(
        None,
        description="Address for health and metrics of a `gateway consume` process; no listener without it.",
    )
    public_url: str | None = Field(
        None,
        description="How senders reach the public listener, such as `https://events.example.com`; "
        "shown in the URLs to paste at a sender.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="An API key with every scope in every workspace, at least 16 characters; never listed. "
        "Without it the first start makes one, prints it once and stores its hash.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Encrypts secrets in the store: a comma list of 32-byte keys in hex or base64, or passphrases of "
        "32 characters or more; the first encrypts, all decrypt. Without it one is made beside a SQLite store "
        "(mode 0600); a PostgreSQL store demands it.",
    )
    log_user: str | None = Field(None, description="User name at Kafka, where its security asks for one.")
    log_password: SecretStr | None = Field(None, description="Password at Kafka, likewise.")
    crm_allow_http: bool = Field(False, description="Allow a CRM at `http://` that is not on this machine's loopback.")
    drain_seconds: float = Field(25.0, description="How long SIGTERM waits for what is in hand, in seconds.")
    logging_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important line that is written to standard error: debug, info, warning, error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment wins over what `load_settings` read from the file."""
        return env_settings, init_settings

    @field_validator("log_url")
    @classmethod
    def _log_url(cls, url: str) -> str:
        return _stored_at(url, "kafka://", "memory:")

    @field_validator("store_url")
    @classmethod
    def _store_url(cls, url: str) -> str:
        return _stored_at(url, "postgresql://", "postgres://")

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, url: str | None) -> str | None:
        return None if url is None else _web_address(url)

    @field_validator("admin_key")
    @classmethod
    def _admin_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < ADMIN_KEY_CHARACTERS_MIN:
            raise ValueError(f"the key needs at least {ADMIN_KEY_CHARACTERS_MIN} characters")
        return key

    @field_validator("secret_key")
    @classmethod
    def _secret_key(cls, keys: SecretStr | None) -> SecretStr | None:
        each = [] if keys is None else [key.strip() for key in keys.get_secret_value().split(",")]
        if any(len(key) < SECRET_KEY_CHARACTERS_MIN for key in each):
            raise ValueError(
                "every key of the comma list is 32 bytes in hex or base64, or a passphrase of "
                f"{SECRET_KEY_CHARACTERS_MIN} characters or more"
            )
        return keys

    @field_validator("drain_seconds")
    @classmethod
    def _drain_seconds(cls, seconds: float) -> float:
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError("the time to drain is 0 seconds or more")
        return seconds


def load_settings(config: Path | None) -> Settings:
    """The settings of this process: environment, else the file named by `config` or CAMPAIGN_CONFIG, else defaults.

    Raises SettingsError with one sentence for an unknown name, an unreadable file or a wrong value."""
    from_environment = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}
    _refuse_unknown(from_environment, [CONFIG, *(PREFIX + name.upper() for name in Settings.model_fields)], "")
    path = config or (Path(named) if (named := os.environ.get(CONFIG)) else None)
    values = {} if path is None else _read(path)
    if path is not None:
        _refuse_unknown(values, list(Settings.model_fields), f" in {path}")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(each, path) for each in error.errors())) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from None


def _refuse_unknown(names: Iterable[str], known: list[str], where: str) -> None:
    for name in sorted(set(names) - set(known)):
        # The prefix is the same for all and would make everything look near.
        shared = PREFIX if name.startswith(PREFIX) else ""
        bare = {each.removeprefix(shared): each for each in known}
        near = difflib.get_close_matches(name.removeprefix(shared), bare, n=1, cutoff=0.0)
        raise SettingsError(f"there is no setting {name}{where}: did you mean {bare[near[0]]}?")


def _sentence(error: ErrorDetails, path: Path | None) -> str:
    """What is wrong with one setting, in the words of the place it was set in; never the value of a secret."""
    field = str(error["loc"][0])
    named = PREFIX + field.upper()
    where = named if path is None or os.environ.get(named) else f"{field} in {path}"
    match error["type"]:
        case "value_error":
            detail = str(error["ctx"]["error"])
        case "bool_parsing" | "bool_type":
            detail = "the value is true or false"
        case "float_parsing" | "float_type":
            detail = "the value is a number"
        case "string_type":
            detail = "the value is text in quotes"
        case "literal_error":
            detail = f"the value is one of {error['ctx']['expected']}"
        case _:
            detail = error["msg"]
    return f"{where}: {detail}"


def _stored_at(url: str, *others: str) -> str:
    """A URL whose scheme we have an adapter for. The sentence never shows it: it may hold a password."""
    if url in others:
        if url.endswith("//"):
            raise ValueError(f"the URL names no server after {url}")
        return url
    if url.startswith("sqlite:///") and url.removeprefix("sqlite:///").strip("/"):
        return url
    if any(other.endswith("//") and url.startswith(other) for other in others):
        return url
    raise ValueError(
        f"the URL starts with {', '.join(others)} or sqlite:/// and a path, such as sqlite:///data/file.db"
    )


def _web_address(url: str) -> str:
    sentence = f"{url!r} is not a web address such as https://events.example.com"
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ValueError(sentence) from None
    if not valid:
        raise ValueError(sentence)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("the web address has no query, fragment, user name or password")
    return url.strip().rstrip("/")
