"""The policies of a workspace as a document: what may be said, what each means when it is not said, and merging."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.api.documents import Document, Duration, member_models, read_document
from gateway.contracts.configuration import Policies
from gateway.contracts.event_types import ACTIVITY_TYPES, TASK_CREATED
from gateway.contracts.names import unknown

_DEFAULT = Policies()
_CREATING_TYPES = (*ACTIVITY_TYPES, TASK_CREATED)
_WAIT_MAX = timedelta(days=3650)


def _creating_type(name: str) -> str:
    if name not in _CREATING_TYPES:
        raise ValueError(f"event type {unknown(name, _CREATING_TYPES)}")
    return name


def _bounded_wait(length: timedelta) -> timedelta:
    if not timedelta() < length <= _WAIT_MAX:
        raise ValueError("should be longer than nothing and at most P3650D")
    return length


def _built(*values: str | None) -> BeforeValidator:
    """Refuses a value that a later version will take: nothing is accepted and then ignored."""

    def check(value: object) -> object:
        if value not in values:
            named = " or ".join("null" if each is None else f'"{each}"' for each in values)
            raise ValueError(f"this value is not built yet: this version takes only {named}")
        return value

    return BeforeValidator(check)


_NotBuilt = Annotated[None, _built(None)]
CreatingType = Annotated[
    str, AfterValidator(_creating_type), WithJsonSchema({"type": "string", "enum": list(_CREATING_TYPES)})
]


class EngagementFieldDocument(Document):
    """The CRM's field that receives one fixed value when a contact is first engaged."""

    name: str = Field(min_length=1, max_length=256)
    value: str = Field(max_length=4096)


class LimitsDocument(Document):
    """What the CRM may be asked to bear; `concurrency` is per process."""

    requests_per_second: _NotBuilt = None
    requests_per_day: _NotBuilt = None
    concurrency: int = Field(_DEFAULT.limits.concurrency, ge=1, le=1000)
    timeout_seconds: float = Field(_DEFAULT.limits.timeout_s, gt=0, le=600)


class RetryDocument(Document):
    """How often a record that the CRM answers with 500 is tried."""

    attempts: int = Field(_DEFAULT.retry_attempts, ge=1, le=100)


class PoliciesDocument(Document):
    """The choices of a workspace, each with the value in force."""

    company_name: str | None = Field(None, max_length=1024)
    unmapped_owner: Literal["send", "wait"] = "send"
    unknown_contact: Literal["create", "wait", "skip"] = "create"
    create_on: list[CreatingType] = Field(default_factory=lambda: list(_CREATING_TYPES))
    wait_at_most: Annotated[Duration, AfterValidator(_bounded_wait)] = _DEFAULT.wait_at_most
    in_doubt: Annotated[Literal["resend"], _built("resend")] = "resend"
    in_doubt_resends: int = Field(_DEFAULT.in_doubt_resends, ge=0, le=100)
    on_dead: Annotated[Literal["continue"], _built("continue")] = "continue"
    message_sync: bool = _DEFAULT.message_sync
    engagement_field: EngagementFieldDocument | None = None
    limits: LimitsDocument = LimitsDocument()
    retry: RetryDocument = RetryDocument()
    external_id_prefix: dict[str, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict)


class PoliciesPatch(RootModel[dict[str, Any]]):
    """A merge patch (RFC 7396) of the policies: what is not named stays, null takes a member back to its default."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The members of the policies document, each of which may be null."""
        whole = handler.resolve_ref_schema(handler(PoliciesDocument.__pydantic_core_schema__))
        nullable = {name: {"anyOf": [member, {"type": "null"}]} for name, member in whole["properties"].items()}
        return {"type": "object", "additionalProperties": False, "properties": nullable}


def merged(stored: Mapping[str, Any], patch: PoliciesPatch) -> dict[str, Any]:
    """The stored document after the patch. InvalidRequest where the result is no policies document."""
    document = _merge(stored, patch.root, PoliciesDocument)
    read_document(PoliciesDocument, document)
    return document


def in_force(stored: Mapping[str, Any]) -> PoliciesDocument:
    """The whole document, defaults included."""
    return read_document(PoliciesDocument, stored)


def _merge(target: Mapping[str, Any], patch: Mapping[str, Any], model: type[BaseModel] | None) -> dict[str, Any]:
    """A null for a member that `model` does not know stays, so that checking the result names it."""
    members = member_models(model) if model else None
    result = dict(target)
    for name, value in patch.items():
        if value is None and (members is None or name in members):
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            inner_model = members.get(name) if members else None
            result[name] = _merge(inner if isinstance(inner, dict) else {}, value, inner_model)
        else:
            result[name] = value
    return result
