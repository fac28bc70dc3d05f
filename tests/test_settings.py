from __future__ import annotations

from pathlib import Path

import pytest

from gateway.contracts.errors import SettingsError
from gateway.settings import Listen, Settings, load_settings


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str | bytes) -> Path:
        path = tmp_path / "gateway.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return written


def refusal(config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(config)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    return sentence


def test_defaults_are_those_of_the_interface() -> None:
    settings = load_settings(None)
    assert settings.log_url == "sqlite:///data/log.db"
    assert settings.store_url == "sqlite:///data/state.db"
    assert str(settings.public_listen) == "0.0.0.0:8080"
    assert str(settings.admin_listen) == "127.0.0.1:8081"
    assert settings.drain_seconds == 25
    assert settings.crm_allow_http is False
    assert (settings.consume_listen, settings.public_url, settings.admin_key) == (None, None, None)
    assert (settings.secret_key, settings.log_user, settings.log_password) == (None, None, None)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_file_gives_what_the_environment_does_not(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('log_url = "memory:"\ndrain_seconds = 3\ncrm_allow_http = true\npublic_listen = "[::1]:90"\n')
    monkeypatch.setenv("CAMPAIGN_DRAIN_SECONDS", "7.5")
    settings = load_settings(path)
    assert settings.drain_seconds == 7.5
    assert settings.log_url == "memory:"
    assert settings.crm_allow_http is True
    assert settings.public_listen == Listen("::1", 90)


def test_the_file_may_be_named_by_the_environment_and_an_argument_wins(write, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAMPAIGN_CONFIG", str(write("drain_seconds = 3\n")))
    assert load_settings(None).drain_seconds == 3
    other = tmp_path / "other.toml"
    other.write_text("drain_seconds = 4\n")
    assert load_settings(other).drain_seconds == 4


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_ADMIN_KEY", "")
    assert load_settings(None).admin_key is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CAMPAIGN_LOGURL", "CAMPAIGN_LOG_URL"),
        ("CAMPAIGN_DRAIN_SECOND", "CAMPAIGN_DRAIN_SECONDS"),
        ("CAMPAIGN_CONFIGURATION", "CAMPAIGN_CONFIG"),
        ("CAMPAIGN_ALLOW_HTTP", "CAMPAIGN_CRM_ALLOW_HTTP"),
    ],
)
def test_an_unknown_variable_stops_the_start_and_names_the_nearest(name: str, near: str, monkeypatch) -> None:
    monkeypatch.setenv(name, "x")
    assert refusal() == f"there is no setting {name}: did you mean {near}?"


def test_an_unknown_name_in_the_file_stops_the_start_and_names_the_nearest(write) -> None:
    path = write('public_liste = "127.0.0.1:1"\n')
    assert refusal(path) == f"there is no setting public_liste in {path}: did you mean public_listen?"


def test_a_prefixed_name_in_the_file_is_unknown(write) -> None:
    assert "did you mean log_url?" in refusal(write('CAMPAIGN_LOG_URL = "memory:"\n'))


@pytest.mark.parametrize(("content", "part"), [("a = = 1", "is not TOML"), (b"\xff\xfe", "is not TOML")])
def test_a_file_that_is_not_toml_is_named(content: str | bytes, part: str, write) -> None:
    path = write(content)
    assert part in (sentence := refusal(path))
    assert str(path) in sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.toml").endswith("cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("PUBLIC_LISTEN", "8080", "is not host:port"),
        ("PUBLIC_LISTEN", ":8080", "is not host:port"),
        ("PUBLIC_LISTEN", "localhost:70000", "is not host:port"),
        ("PUBLIC_LISTEN", "localhost:http", "is not host:port"),
        ("CONSUME_LISTEN", "::1:80", "needs brackets"),
        ("PUBLIC_URL", "events.example.com", "is not a web address"),
        ("PUBLIC_URL", "ftp://events.example.com", "is not a web address"),
        ("PUBLIC_URL", "https://[events", "is not a web address"),
        ("PUBLIC_URL", "https://h.example:0", "is not a web address"),
        ("PUBLIC_URL", "https://events.example.com/?a=b", "has no query"),
        ("LOG_URL", "redis://localhost", "starts with kafka://, memory: or sqlite:///"),
        ("LOG_URL", "kafka://", "names no server"),
        ("LOG_URL", "sqlite:///", "starts with"),
        ("STORE_URL", "mysql://localhost/x", "starts with postgresql://"),
        ("ADMIN_KEY", "short", "at least 16 characters"),
        ("SECRET_KEY", "k" * 40 + ",short", "32 bytes in hex or base64"),
        ("CRM_ALLOW_HTTP", "perhaps", "is true or false"),
        ("DRAIN_SECONDS", "soon", "is a number"),
        ("DRAIN_SECONDS", "-1", "0 seconds or more"),
        ("DRAIN_SECONDS", "nan", "0 seconds or more"),
        ("LOGGING_LEVEL", "loud", "one of 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence_that_names_the_setting(name, value, part, monkeypatch) -> None:
    monkeypatch.setenv(f"CAMPAIGN_{name}", value)
    sentence = refusal()
    assert sentence.startswith(f"CAMPAIGN_{name}: ")
    assert part in sentence


def test_a_wrong_value_of_the_file_is_named_as_the_file_writes_it(write) -> None:
    path = write("log_url = 7\n")
    assert refusal(path) == f"log_url in {path}: the value is text in quotes"


def test_several_wrong_values_make_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_DRAIN_SECONDS", "soon")
    monkeypatch.setenv("CAMPAIGN_CRM_ALLOW_HTTP", "perhaps")
    assert {part.split(":")[0] for part in refusal().split("; ")} == {
        "CAMPAIGN_DRAIN_SECONDS",
        "CAMPAIGN_CRM_ALLOW_HTTP",
    }


def test_no_secret_shows_in_a_refusal_or_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_STORE_URL", "postgresql://ada:hunter2@db/state")
    monkeypatch.setenv("CAMPAIGN_ADMIN_KEY", "hunter2-hunter2-hunter2")
    assert "hunter2" not in repr(load_settings(None))
    monkeypatch.setenv("CAMPAIGN_STORE_URL", "postgre://ada:hunter2@db/state")
    monkeypatch.setenv("CAMPAIGN_SECRET_KEY", "hunter2")
    assert "hunter2" not in refusal()


def test_the_public_url_loses_its_trailing_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_PUBLIC_URL", "https://events.example.com/in/")
    assert load_settings(None).public_url == "https://events.example.com/in"


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::1]:80", "localhost:0"])
def test_an_address_reads_back_as_it_was_written(text: str) -> None:
    assert str(Listen.parse(text)) == text
