"""The Kafka URL: what it may say, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.contracts.errors import SettingsError
from gateway.log.kafka_settings import parse_kafka_url


def test_brokers_are_named_with_or_without_port() -> None:
    assert parse_kafka_url("kafka://a:9093,b,10.0.0.1:1").brokers == ("a:9093", "b:9092", "10.0.0.1:1")


def test_plaintext_is_the_default() -> None:
    options = parse_kafka_url("kafka://a:9092").client_options()
    assert options["security_protocol"] == "PLAINTEXT"
    assert not {"ssl_context", "sasl_mechanism"} & options.keys()


def test_credentials_and_mechanism_reach_the_client() -> None:
    url = "kafka://a:9092?security=SASL_SSL&mechanism=SCRAM-SHA-512"
    options = parse_kafka_url(url, user="gw", password="s3cret").client_options()
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("gw", "s3cret")
    assert options["ssl_context"].check_hostname


def test_the_password_shows_nowhere() -> None:
    url = "kafka://a:9092?security=SASL_PLAINTEXT&mechanism=PLAIN"
    assert "s3cret" not in repr(parse_kafka_url(url, user="gw", password="s3cret"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("kafka://", "must name its brokers"),
        ("kafka://a:9092,,b:9092", "must name its brokers"),
        ("kafka://a:port", "must name its brokers"),
        ("kafka://a:70000", "must name its brokers"),
        ("kafka://a:9092/topic", "a part after its brokers"),
        ("kafka://user:pw@a:9092", "CAMPAIGN_LOG_USER"),
        ("kafka://a:9092?securty=SSL", "unknown option 'securty'"),
        ("kafka://a:9092?security=TLS", "security is 'TLS'.*PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("kafka://a:9092?security=SASL_SSL", "mechanism is ''.*PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("kafka://a:9092?security=SASL_SSL&mechanism=GSSAPI", "mechanism is 'GSSAPI'"),
        ("kafka://a:9092?security=SASL_SSL&mechanism=PLAIN", "needs CAMPAIGN_LOG_USER and CAMPAIGN_LOG_PASSWORD"),
        ("kafka://a:9092?mechanism=PLAIN", "has a mechanism but security PLAINTEXT"),
        ("kafka://a:9092?ca=/x.pem", "names a ca but security PLAINTEXT"),
        ("kafka://a:9092?security=SSL&ca=/nowhere/ca.pem", "ca '/nowhere/ca.pem'"),
    ],
)
def test_a_wrong_url_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        parse_kafka_url(url)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_credentials_that_nothing_uses_are_refused() -> None:
    with pytest.raises(SettingsError, match="CAMPAIGN_LOG_USER or CAMPAIGN_LOG_PASSWORD but security SSL"):
        parse_kafka_url("kafka://a:9092?security=SSL", user="gw", password="pw")


def test_a_ca_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(SettingsError, match=r"ca\.pem"):
        parse_kafka_url(f"kafka://a:9092?security=SSL&ca={tmp_path}/ca.pem")
