"""How the demo tells what came out of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from gateway.demo.proof import Fact, Kind, Verdict

#: Names of records told of each thing that went wrong.
TOLD_MAX = 5
_PLURALS = {
    Kind.ACTIVITY: "activities",
    Kind.TASK: "tasks",
    Kind.COMPLETION: "of them completed",
    Kind.CONTACT: "contacts",
}


def report(console: Console, verdict: Verdict, held: Sequence[Fact], *, accepted: int, repeated: int) -> None:
    """What was sent, what the CRM holds, and the verdict."""
    console.print(f"Sent: {accepted:,} events, {repeated} of them twice.", highlight=False)
    counts = ", ".join(f"{sum(fact.kind is kind for fact in held):,} {_PLURALS[kind]}" for kind in Kind)
    console.print(f"The CRM holds {counts}.", highlight=False)
    style = "bold green" if verdict.proven else "bold red"
    console.print(sentence(verdict), style=style, highlight=False, soft_wrap=True)
    for name, names in _found(verdict).items():
        more = f" and {len(names) - TOLD_MAX} more" if len(names) > TOLD_MAX else ""
        console.print(f"  {name}: {', '.join(names[:TOLD_MAX])}{more}", highlight=False, soft_wrap=True)


def sentence(verdict: Verdict) -> str:
    """The verdict in one line."""
    counts = (
        f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, out of order {len(verdict.out_of_order)}, "
        f"wrong {len(verdict.wrong)}, refused by the CRM {verdict.refused}, "
        f"of which dead letters {verdict.refused - len(verdict.unreported)}"
    )
    return f"{'PROVEN' if verdict.proven else 'NOT PROVEN'}: {counts}."


def _found(verdict: Verdict) -> dict[str, tuple[str, ...]]:
    found = {
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "out of order": verdict.out_of_order,
        "wrong": verdict.wrong,
        "refused, and no dead letter": verdict.unreported,
    }
    return {name: names for name, names in found.items() if names}
