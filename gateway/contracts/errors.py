"""The one tree of exceptions that cross module borders, and who retries them.

    GatewayError
    ├── SettingsError           nobody: the process exits 1 with the sentence
    ├── ArgumentsError          nobody: the process exits 2
    ├── InvalidEvent            nobody: the sender mends it (400, or named in a batch)
    ├── Undecodable             nobody: the record becomes a dead letter
    ├── InvalidRequest          nobody: the operator mends the request (400)
    ├── Unacceptable            the operator, once the world agrees with the request (422)
    │   └── CrmUnavailable      the operator, once the CRM answers again (502)
    ├── LogError
    │   ├── LogUnavailable      the caller, after a pause; a receiver answers 503
    │   ├── LogClosed           nobody
    │   ├── LogLocked           nobody: another process owns the file
    │   ├── TopicMissing        an operator runs `gateway topics`
    │   ├── TopicMismatch       an operator alters the topic
    │   ├── OffsetOutOfRange    an operator decides: never reset silently
    │   └── NotAssigned         nobody: the partition has another owner now
    └── StoreError
        ├── StoreUnavailable    the caller, after a pause
        ├── StoreLocked         nobody: another process owns the file
        ├── SchemaMismatch      an operator runs `gateway migrate`, or a newer program
        ├── NotFound            nobody: 404
        └── Conflict            nobody: 409

The CRM's errors are a closed set of their own: gateway/crm/errors.py. Expected outcomes of a
delivery are values (contracts/deliveries.py), not exceptions.
"""

from __future__ import annotations


class GatewayError(Exception):
    """The gateway could not do what was asked."""


class SettingsError(GatewayError):
    """A setting is wrong or missing."""


class ArgumentsError(GatewayError):
    """A command was given wrong arguments."""


class InvalidEvent(GatewayError):
    """An event is refused at the door; `problems` says where and why."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        """`problems`: (JSON pointer, sentence) pairs, at least one."""
        assert problems, "an invalid event has at least one problem"
        super().__init__("; ".join(f"{pointer or '/'}: {detail}" for pointer, detail in problems))
        self.problems = problems


class Undecodable(GatewayError):
    """A record of the log is not an event of ours."""


class InvalidRequest(GatewayError):
    """An operator's request is refused as it stands; `problems` says where and why."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        """`problems`: (JSON pointer into the body, or the parameter's name; sentence) pairs, at least one."""
        assert problems, "an invalid request has at least one problem"
        super().__init__("; ".join(f"{pointer or '/'}: {detail}" for pointer, detail in problems))
        self.problems = problems


class Unacceptable(GatewayError):
    """An operator's request is well formed and contradicts what is: a CRM that refuses, a user that does not exist."""


class CrmUnavailable(Unacceptable):
    """The CRM would have to be asked, and does not answer."""


class LogError(GatewayError):
    """The event log failed."""


class LogUnavailable(LogError):
    """The log cannot be reached or cannot write now."""


class LogClosed(LogError):
    """The log was closed."""


class LogLocked(LogError):
    """Another process owns the log file."""


class TopicMissing(LogError):
    """The topic does not exist; `gateway topics` creates it."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist: run `gateway topics` to create it")
        self.topic = topic


class TopicMismatch(LogError):
    """A topic exists but is configured otherwise than we need."""


class OffsetOutOfRange(LogError):
    """The offset asked for is below the log's start or past its end; `partition` is the one concerned."""

    def __init__(self, sentence: str, *, partition: tuple[str, int] | None = None) -> None:
        super().__init__(sentence)
        self.partition = partition


class NotAssigned(LogError):
    """The partition belongs to another member of the group now."""


class StoreError(GatewayError):
    """The store failed."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or cannot write now."""


class StoreLocked(StoreError):
    """Another process owns the store file."""


class SchemaMismatch(StoreError):
    """The store's schema is older or newer than this program."""


class NotFound(StoreError):
    """There is no such thing in this workspace."""


class Conflict(StoreError):
    """The change contradicts what is stored."""
