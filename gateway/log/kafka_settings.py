"""How to reach a Kafka cluster: the log URL and the credentials beside it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gateway.contracts.errors import SettingsError

SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DEFAULT_PORT = 9092


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Brokers and credentials. The password does not show in `repr`."""

    brokers: tuple[str, ...]
    security: str = "PLAINTEXT"
    mechanism: str | None = None
    ca: str | None = None
    user: str | None = None
    #: Out of every log line and traceback.
    password: _Secret | None = None

    def client_options(self) -> dict[str, Any]:
        """The arguments that every aiokafka client takes. Raises SettingsError for a CA file that cannot be used."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.brokers),
            "client_id": "campaign-gateway",
            "security_protocol": self.security,
        }
        if self.security.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.mechanism is not None and self.password is not None:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password.text,
            }
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"the log URL's ca {self.ca!r} holds no certificates that can be read: {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class _Secret:
    text: str

    def __repr__(self) -> str:
        return "…"


def parse_kafka_url(url: str, *, user: str | None = None, password: str | None = None) -> KafkaSettings:
    """The settings that `kafka://host:port,host:port?security=…&mechanism=…&ca=…` and the credentials say.

    Raises SettingsError with a sentence that names what is wrong; it never contains the password."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise SettingsError("the log URL holds credentials: give them as CAMPAIGN_LOG_USER and CAMPAIGN_LOG_PASSWORD")
    if parts.path.strip("/") or parts.fragment:
        raise SettingsError(
            f"the log URL {url!r} has a part after its brokers: only ?security=, mechanism= and ca= may be"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - {"security", "mechanism", "ca"}):
        raise SettingsError(f"the log URL has an unknown option {unknown[0]!r}: it takes security, mechanism and ca")
    security = options.get("security", "PLAINTEXT")
    _check("security", security, SECURITY)
    sasl = security.startswith("SASL")
    mechanism = options.get("mechanism")
    if sasl:
        _check("mechanism", mechanism or "", MECHANISMS)
        if not user or not password:
            raise SettingsError(f"security {security} needs CAMPAIGN_LOG_USER and CAMPAIGN_LOG_PASSWORD")
    elif mechanism is not None or user or password:
        what = "a mechanism" if mechanism is not None else "CAMPAIGN_LOG_USER or CAMPAIGN_LOG_PASSWORD"
        raise SettingsError(
            f"the log has {what} but security {security}, which uses none: say SASL_SSL or SASL_PLAINTEXT"
        )
    if "ca" in options and not security.endswith("SSL"):
        raise SettingsError(f"the log URL names a ca but security {security}, which uses none: say SSL or SASL_SSL")
    settings = KafkaSettings(
        brokers=tuple(_broker(each, url) for each in parts.netloc.split(",")),
        security=security,
        mechanism=mechanism,
        ca=options.get("ca"),
        user=user if sasl else None,
        password=_Secret(password) if sasl and password else None,
    )
    settings.client_options()
    return settings


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"the log URL's {name} is {value!r}: it must be one of {', '.join(allowed)}")


def _broker(text: str, url: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(f"the log URL {url!r} must name its brokers as kafka://host:port,host:port")
    return f"{host}:{port}"
