"""What every document of the API has in common: member names, ids, times, and problems that point at what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from gateway.contracts.durations import format_duration, parse_duration
from gateway.contracts.errors import InvalidRequest
from gateway.contracts.events import format_time, parse_time
from gateway.contracts.names import unknown
from gateway.contracts.native import NAME_BYTES_MAX

Item = TypeVar("Item")
Model = TypeVar("Model", bound=BaseModel)

#: An answer names at most so many faults, and shows at most so much of a name that it was sent.
PROBLEMS_MAX = 50
_NAME_CHARACTERS_MAX = 200

_COMMON = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", hide_input_in_errors=True)


class Document(BaseModel):
    """A body or an answer: camelCase members, no conversions, nothing unknown accepted."""

    model_config = _COMMON | ConfigDict(strict=True, frozen=True)


class Query(BaseModel):
    """The parameters of a URL: text that is read as numbers, times and choices."""

    model_config = _COMMON | ConfigDict(frozen=True)


def _text(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _instant(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


def _duration(value: object) -> object:
    if isinstance(value, str | int | float):
        return parse_duration(str(value))
    return value


def _short(text: str) -> str:
    if len(text.encode()) > NAME_BYTES_MAX:
        raise ValueError(f"should be at most {NAME_BYTES_MAX} bytes long")
    return text


#: A sender's or CRM's id: text; a number is taken and turned into text.
Id = Annotated[str, BeforeValidator(_text), AfterValidator(_short), Field(min_length=1)]
#: A moment: RFC 3339 text, always with its zone, answered in UTC.
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
#: A fixed length of time: ISO 8601 text.
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["P30D", "PT5M"]}),
]


class Page(Document, Generic[Item]):
    """A list, cut: `next` is the cursor of what follows, null at the end."""

    data: list[Item]
    next: str | None = None


class PageQuery(Query):
    """How much of a list, and from where."""

    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=4096)


class Fault(Document):
    """One thing that is wrong with a request."""

    pointer: str
    detail: str


class Problem(Document):
    """Why a request was not done, and what to do about it (application/problem+json)."""

    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None


def read_document(model: type[Model], value: object) -> Model:
    """`value` as a model, by its members' own names. InvalidRequest names every member that is wrong, and why."""
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)[:PROBLEMS_MAX]
        raise InvalidRequest([(pointer(each["loc"]), _sentence(model, each)) for each in problems]) from None


def pointer(path: Iterable[str | int]) -> str:
    """A path into a document as a JSON pointer (RFC 6901), its names cut where nobody would read them."""
    steps = (str(step)[:_NAME_CHARACTERS_MAX] for step in path)
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    """What is wrong, in words an operator can act on."""
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            *path, name = error["loc"]
            return unknown(str(name), _members(model, path))
        case "model_type" | "model_attributes_type" | "dict_type":
            return "should be a JSON object"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return error["msg"].removeprefix("Input ")


def member_models(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The members of a document by name, each with the model inside it where there is one."""
    return {info.alias or name: _model_in(info.annotation) for name, info in model.model_fields.items()}


def _members(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The member names of the model that stands at `path` inside `model`."""
    here: type[BaseModel] | None = model
    for step in path:
        if here is not None and isinstance(step, str):
            here = member_models(here).get(step)
    return list(member_models(here)) if here else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model | None`, `list[Model]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
