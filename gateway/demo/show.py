"""`gateway demo`: two campaigns, a gateway of its own, a CRM that goes away in the middle, and a proof at the end."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
from rich.console import Console

from gateway.contracts.errors import GatewayError
from gateway.demo import native_campaign, webhook_campaign
from gateway.demo.board import Board, Reading
from gateway.demo.crm import DemoCrm
from gateway.demo.facts import held_facts, refused_names, sent_facts
from gateway.demo.own_gateway import OwnGateway
from gateway.demo.proof import prove
from gateway.demo.report import report
from gateway.demo.simulator import Doors, Simulator
from gateway.demo.story import Story, tell

DRAINED_WITHIN_S = 90.0
READING_EVERY_S = 0.25
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Plot:
    """How long the story is, and when something happens in it."""

    seed: int = 7
    #: Of each of the two campaigns.
    contacts: int = 120
    sending_s: float = 20.0
    #: Shares of the story after which the CRM goes away, and after which the forgotten identity is mapped.
    away_at: float = 0.35
    mapped_at: float = 0.8
    #: How many events are accepted before the CRM comes back.
    away_events: int = 400


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the demo plays with."""

    session: aiohttp.ClientSession
    crm: DemoCrm
    gateway: OwnGateway
    simulator: Simulator
    #: Identity → CRM user.
    owners: dict[str, str]
    board: Board
    plot: Plot


async def run_demo(once: bool, tamper: Callable[[DemoCrm], None] | None = None, plot: Plot | None = None) -> int:
    """0 when everything was proven, 1 when not. Without `once` it stays up after the verdict, until Ctrl-C.

    `tamper` is called with the CRM before the proof: what it spoils has to be found."""
    console, me = Console(), asyncio.current_task()
    assert me is not None, "called from a task"
    # Whoever ends the demo ends its gateway with it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    code = INTERRUPTED
    try:
        async with _stage(console, plot or Plot()) as stage:
            code = 0 if await _play(stage, console, tamper) else 1
            if not once:
                console.print("It stays up; Ctrl-C ends it.")
                await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("Ended.")
    return code


@asynccontextmanager
async def _stage(console: Console, plot: Plot) -> AsyncIterator[Stage]:
    """A CRM, a gateway and a simulator, connected; all gone at the end, with the folder they used."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        crm = DemoCrm()
        stack.push_async_callback(crm.stop)
        await crm.start()
        gateway = OwnGateway(folder, session)
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        console.print(f"CRM      {crm.url}/", f"API      {gateway.admin_url}/v1/status", sep="\n", soft_wrap=True)
        console.print(f"API key  {gateway.admin_key}", highlight=False)
        story = tell(plot.seed, contacts=plot.contacts)
        doors, owners = await _introduce(gateway, crm)
        random = Random(plot.seed)  # noqa: S311 -- which sendings are repeated
        simulator = Simulator(session, doors, story, random, duration_s=plot.sending_s)
        console.print(_summary(story), highlight=False)
        yield Stage(session, crm, gateway, simulator, owners, stack.enter_context(Board(console)), plot)


async def _introduce(gateway: OwnGateway, crm: DemoCrm) -> tuple[Doors, dict[str, str]]:
    """What an operator does once: connection, policies, who is who, senders. One identity is forgotten."""
    secret = secrets.token_urlsafe(24)
    await gateway.call("POST", "/v1/custom-crm/connect", {"baseUrl": crm.url, "apiKey": crm.key})
    await gateway.call("PATCH", "/v1/workspace", {"companyName": "Northwind Freight", "unmappedOwner": "wait"})
    users = (await gateway.call("GET", "/v1/owners/crm-users"))["data"]
    by_name = {user["name"]: user["id"] for user in users}
    names = native_campaign.NAMES | {webhook_campaign.IDENTITY: webhook_campaign.IDENTITY_NAME}
    owners = {identity: by_name[name] for identity, name in names.items()}
    for identity in (webhook_campaign.IDENTITY, native_campaign.MAPPED):
        entry = {"crmUserId": owners[identity], "name": names[identity]}
        await gateway.call("PUT", f"/v1/owners/identities/{identity}", entry)
    await gateway.call("PUT", f"/v1/sources/{webhook_campaign.SOURCE}", {"type": "enginy", "secret": secret})
    campaign = {"name": webhook_campaign.CAMPAIGN_NAME, "identityId": webhook_campaign.IDENTITY}
    await gateway.call("PUT", f"/v1/campaigns/{webhook_campaign.CAMPAIGN_ID}", campaign)
    key = await gateway.call("POST", "/v1/keys", {"name": "demo", "scopes": ["ingest"], "workspaces": ["default"]})
    webhooks = f"{gateway.public_url}/webhooks/{webhook_campaign.SOURCE}"
    return Doors(webhooks, secret, f"{gateway.public_url}/v1/events", key["key"]), owners


async def _play(stage: Stage, console: Console, tamper: Callable[[DemoCrm], None] | None) -> bool:
    """The whole show; whether everything was proven."""
    watching = asyncio.create_task(_watch(stage))
    try:
        await _acts(stage)
        stage.board.say("Everything is sent; the gateway finishes what it has.")
        drained = await _drained(stage)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    stage.board.close()
    if not drained:
        console.print(f"Not finished after {DRAINED_WITHIN_S:.0f} s: what is missing now counts as lost.")
    if tamper is not None:
        tamper(stage.crm)
    return await _verdict(stage, console)


async def _acts(stage: Stage) -> None:
    """Senders and plot side by side. Raises what the first of them failed with."""
    try:
        async with asyncio.TaskGroup() as acts:
            acts.create_task(stage.simulator.run())
            acts.create_task(_plot(stage))
    except* GatewayError as failed:
        raise failed.exceptions[0] from None


async def _plot(stage: Stage) -> None:
    """The CRM goes away and comes back; the forgotten identity is mapped."""
    simulator, board, plot = stage.simulator, stage.board, stage.plot
    await simulator.reached(round(plot.away_at * simulator.total))
    await stage.crm.go_away()
    before = len(simulator.sent.accepted)
    board.say("The CRM goes away. The gateway goes on accepting.")
    await simulator.reached(before + plot.away_events)
    await stage.crm.come_back()
    board.say(f"The CRM is back. Accepted meanwhile: {len(simulator.sent.accepted) - before}.")
    await simulator.reached(round(plot.mapped_at * simulator.total))
    identity = native_campaign.UNMAPPED
    await stage.gateway.call("PUT", f"/v1/owners/identities/{identity}", {"crmUserId": stage.owners[identity]})
    board.say(f"{native_campaign.NAMES[identity]}, whose contacts were waiting, is mapped to a CRM user.")


async def _watch(stage: Stage) -> None:
    while True:
        stage.board.show(await _reading(stage))
        await asyncio.sleep(READING_EVERY_S)


async def _reading(stage: Stage) -> Reading:
    status = await stage.gateway.call("GET", "/v1/status")
    balance = await stage.gateway.call("GET", "/v1/reconcile")
    return Reading.of(len(stage.simulator.sent.accepted), status, balance)


async def _drained(stage: Stage) -> bool:
    """Whether everything came to an end in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DRAINED_WITHIN_S
    while loop.time() < end:
        status = await stage.gateway.call("GET", "/v1/status")
        busy = sum(target["pending"] + target["waiting"] for target in status["targets"].values())
        if status["log"]["lag"] == 0 and busy == 0:
            stage.board.show(await _reading(stage))
            return True
        await asyncio.sleep(READING_EVERY_S)
    return False


async def _verdict(stage: Stage, console: Console) -> bool:
    """Compares, says what came out, and whether it is as promised."""
    accepted = stage.simulator.sent.accepted
    letters = (await stage.gateway.call("GET", "/v1/dead-letters?limit=500"))["data"]
    held = await held_facts(stage.session, stage.crm.url, {stage.crm.header: stage.crm.key} | _JSON)
    verdict = prove(
        sent_facts(accepted, stage.owners),
        held,
        refused=refused_names(accepted),
        dead_letters={letter["event"] for letter in letters},
    )
    report(console, verdict, held, accepted=len(accepted), repeated=stage.simulator.sent.repeated)
    return verdict.proven


#: The contract's headers: the strict CRM refuses a call without them.
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}


def _summary(story: Story) -> str:
    people = len({each.person.number for each in (*story.webhooks, *story.native)})
    webhooks, native = len(story.webhooks), len(story.native)
    return f"Two campaigns with {people} contacts: {webhooks:,} webhooks and {native:,} native events."
