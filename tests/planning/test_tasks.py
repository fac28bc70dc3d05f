"""Tasks: what the event says, what its step adds, and what waits for the step to be described."""

from __future__ import annotations

import pytest

from gateway.contracts.configuration import CampaignSettings, WorkspaceConfiguration
from gateway.contracts.deliveries import campaign_subject
from gateway.contracts.events import CampaignStep
from gateway.contracts.states import Reason
from gateway.planning.decisions import Held, Moment, OwnerDecision, Planned, Resolution, Unplannable
from gateway.planning.tasks import plan_task
from tests.support.events import AT, event

ADA = OwnerDecision("u-17", "identity id-7 → u-17")
WHO = Resolution("c-1", "a-1")
CALL = CampaignStep(id="s4", index=4, kind="task", title="Call", note="Twice", taskType="call", delay="P1DT2H")


def configured(*steps: CampaignStep) -> WorkspaceConfiguration:
    return WorkspaceConfiguration(
        "default",
        1,
        campaigns={("", "42"): CampaignSettings("", "42", steps=steps)},
        subjects={campaign_subject("42"): 8},
    )


def plan(config: WorkspaceConfiguration, **parts: object) -> Planned | Held | Unplannable:
    return plan_task(event("task.created", **parts), config, WHO, ADA, Moment(AT))  # type: ignore[arg-type]


def test_a_whole_task_is_sent_as_it_is() -> None:
    task = {
        "id": "tk-1",
        "kind": "call",
        "subject": "Call Priya",
        "description": "",
        "dueAt": "2026-03-05T10:00:00+01:00",
    }
    assert plan(configured(), task=task) == Planned(
        body={
            "subject": "Call Priya",
            "description": "",
            "type": "call",
            "ownerId": "u-17",
            "dueDate": "2026-03-05T09:00:00Z",
            "contactId": "c-1",
            "companyId": "a-1",
        },
        action="create",
        owner="u-17",
        owner_rule="identity id-7 → u-17",
    )


def test_a_task_without_contact_and_owner_carries_neither() -> None:
    planned = plan_task(
        event("task.created", task={"id": "t", "subject": "Call"}, contact=None),
        configured(),
        Resolution(),
        OwnerDecision(None, "no owner known"),
        Moment(AT),
    )
    assert isinstance(planned, Planned)
    assert planned.body == {"subject": "Call"}


@pytest.mark.parametrize("step", [{"id": "s4"}, {"index": 4}])
def test_a_task_without_subject_takes_its_steps_title_and_what_goes_with_it(step: dict[str, object]) -> None:
    planned = plan(configured(CALL), task={"id": "t"}, step=step)
    assert isinstance(planned, Planned)
    assert planned.body == {
        "subject": "Call",
        "description": "Twice",
        "type": "call",
        "ownerId": "u-17",
        "dueDate": "2026-03-03T10:15:00Z",
        "contactId": "c-1",
        "companyId": "a-1",
    }


def test_what_the_task_says_wins_over_its_step() -> None:
    own = {"id": "t", "subject": "Mine", "description": "Once", "kind": "email", "dueAt": "2026-04-01T00:00:00Z"}
    planned = plan(configured(CALL), task=own, step={"id": "s4"})
    assert isinstance(planned, Planned)
    said = {name: planned.body[name] for name in ("subject", "description", "type", "dueDate")}
    assert said == {"subject": "Mine", "description": "Once", "type": "email", "dueDate": "2026-04-01T00:00:00Z"}


@pytest.mark.parametrize("delay", ["2 days", "P1M", "", None, "P99999999D"])
def test_a_delay_that_is_no_length_of_time_gives_no_due_date(delay: str | None) -> None:
    planned = plan(configured(CALL.model_copy(update={"delay": delay})), task={"id": "t"}, step={"id": "s4"})
    assert isinstance(planned, Planned)
    assert "dueDate" not in planned.body


@pytest.mark.parametrize("steps", [(), (CampaignStep(id="other", title="Call"),), (CampaignStep(id="s4", title=" "),)])
def test_a_task_without_subject_waits_until_its_step_is_described_with_a_title(steps: tuple[CampaignStep, ...]) -> None:
    held = plan(configured(*steps), task={"id": "t", "subject": " "}, step={"id": "s4"})
    assert isinstance(held, Held)
    assert held.hold.reason is Reason.UNKNOWN_STEP
    assert (held.hold.subject, held.hold.subject_version) == ("campaign:42", 8)
    assert "s4" in held.hold.detail


@pytest.mark.parametrize(
    "parts",
    [
        {"task": {"id": "t"}, "step": None},
        {"task": {"id": "t"}, "step": {"kind": "task"}},
        {"task": {"id": "t"}, "step": {"id": "s4"}, "campaign": None},
        {"task": {"id": "t"}, "step": {"id": "s4"}, "campaign": {"name": "no id"}},
        {"task": None},
    ],
)
def test_a_task_that_nothing_could_ever_name_cannot_be_planned(parts: dict[str, object]) -> None:
    assert isinstance(plan(configured(CALL), **parts), Unplannable)
