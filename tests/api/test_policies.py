"""Policies: defaults, merging, and the refusal of whatever this version would only ignore."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api.documents import read_document
from gateway.api.policies import PoliciesDocument, PoliciesPatch, in_force, merged
from gateway.contracts.configuration import Policies
from gateway.contracts.errors import InvalidRequest
from gateway.contracts.policies import policies_from


def _merge(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return merged(stored, PoliciesPatch(patch))


def _problems(patch: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        _merge({}, patch)
    return dict(refused.value.problems)


def test_the_document_of_no_choice_means_the_defaults_of_the_hot_path() -> None:
    assert policies_from(in_force({}).model_dump(mode="json", by_alias=True)) == Policies()


def test_every_member_of_the_document_changes_what_the_hot_path_does() -> None:
    choices: dict[str, Any] = {
        "companyName": "Northwind",
        "unmappedOwner": "wait",
        "unknownContact": "skip",
        "createOn": ["campaign.email.sent"],
        "waitAtMost": "PT5M",
        "inDoubtResends": 0,
        "messageSync": False,
        "engagementField": {"name": "a", "value": "b"},
        "limits": {"concurrency": 1},
        "retry": {"attempts": 1},
        "externalIdPrefix": {"acme": ""},
    }
    of_one_value = {"inDoubt", "onDead"}
    members = {info.alias for info in PoliciesDocument.model_fields.values()}
    assert members == set(choices) | of_one_value
    for name, value in choices.items():
        assert policies_from(_merge({}, {name: value})) != Policies(), name


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    stored = {"companyName": "Northwind", "limits": {"concurrency": 3}}
    assert _merge(stored, {"limits": {"timeoutSeconds": 2.5}, "messageSync": False}) == {
        "companyName": "Northwind",
        "limits": {"concurrency": 3, "timeoutSeconds": 2.5},
        "messageSync": False,
    }
    assert stored == {"companyName": "Northwind", "limits": {"concurrency": 3}}


def test_null_takes_a_member_back_to_its_default() -> None:
    stored = {
        "companyName": "x",
        "limits": {"concurrency": 3, "timeoutSeconds": 1},
        "externalIdPrefix": {"a": "", "b": ""},
    }
    patch = {"companyName": None, "limits": {"concurrency": None}, "externalIdPrefix": {"a": None}}
    assert _merge(stored, patch) == {"limits": {"timeoutSeconds": 1}, "externalIdPrefix": {"b": ""}}


@pytest.mark.parametrize(
    "patch",
    [
        {"inDoubt": "hold"},
        {"onDead": "hold"},
        {"limits": {"requestsPerSecond": 5}},
        {"limits": {"requestsPerDay": 5}},
    ],
)
def test_a_value_of_a_later_version_is_refused_with_that_sentence(patch: dict[str, Any]) -> None:
    (sentence,) = _problems(patch).values()
    assert "is not built yet" in sentence


def test_the_one_value_that_is_built_is_taken() -> None:
    patch = {"inDoubt": "resend", "onDead": "continue", "limits": {"requestsPerSecond": None, "requestsPerDay": None}}
    assert in_force(_merge({}, patch)) == in_force({})


@pytest.mark.parametrize(
    ("patch", "pointer", "nearest"),
    [
        ({"identifierRules": {}}, "/identifierRules", ""),
        ({"wiatAtMost": "P1D"}, "/wiatAtMost", "waitAtMost"),
        ({"limits": {"timeout": 3}}, "/limits/timeout", "timeoutSeconds"),
        ({"bogus": None}, "/bogus", ""),
        ({"retry": {"atempts": None}}, "/retry/atempts", "attempts"),
    ],
)
def test_an_unknown_member_is_refused_with_the_nearest_known(patch: dict[str, Any], pointer: str, nearest: str) -> None:
    assert "is not known here" in _problems(patch)[pointer]
    assert nearest in _problems(patch)[pointer]


@pytest.mark.parametrize(
    "patch",
    [
        {"unmappedOwner": "hold"},
        {"createOn": ["campaign.email.opened"]},
        {"createOn": "campaign.email.sent"},
        {"waitAtMost": "30 days"},
        {"waitAtMost": "PT0S"},
        {"waitAtMost": "P3651D"},
        {"inDoubtResends": -1},
        {"inDoubtResends": True},
        {"messageSync": "yes"},
        {"engagementField": {"name": ""}},
        {"limits": {"concurrency": 0}},
        {"limits": {"concurrency": 1001}},
        {"limits": {"timeoutSeconds": 0}},
        {"retry": {"attempts": 0}},
        {"retry": 6},
        {"externalIdPrefix": {"acme": 1}},
    ],
)
def test_a_value_that_means_nothing_is_refused(patch: dict[str, Any]) -> None:
    assert _problems(patch)


def test_a_patch_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_document(PoliciesPatch, ["companyName"])
