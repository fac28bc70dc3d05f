"""The command line: names of commands and options, and one clear line when something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
import uvloop

from gateway.contracts.errors import ArgumentsError, GatewayError
from gateway.settings import Settings, load_settings

Config = Annotated[
    Path | None,
    typer.Option(help="A TOML file of settings; the environment wins over it.", envvar="CAMPAIGN_CONFIG"),
]


class Commands(Protocol):
    """What the composition root does for each command. Each returns the exit code."""

    async def run(self, settings: Settings) -> int:
        """Receiver, API and consumers in one process, until SIGTERM."""
        ...

    async def serve(self, settings: Settings) -> int:
        """Receiver and API, until SIGTERM."""
        ...

    async def consume(self, settings: Settings) -> int:
        """Consumers, until SIGTERM."""
        ...

    async def migrate(self, settings: Settings) -> int:
        """Brings the store's schema up to date."""
        ...

    async def topics(self, settings: Settings) -> int:
        """Creates missing topics and compares those that exist."""
        ...

    async def demo(self, *, once: bool) -> int:
        """A campaign, a gateway and a CRM on this machine, and a proof."""
        ...

    async def demo_crm(self, *, host: str, port: int, key: str, header: str, quirks: bool) -> int:
        """A CRM to try things against, until SIGTERM."""
        ...


def application(commands: Commands) -> typer.Typer:
    """The commands of `gateway`, bound to what carries them out."""
    app = typer.Typer(
        name="gateway",
        help="Carries what happens in sales campaigns into a CRM.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    def with_settings(do: Callable[[Settings], Coroutine[Any, Any, int]], config: Path | None) -> None:
        raise typer.Exit(uvloop.run(do(load_settings(config))))

    @app.command()
    def run(config: Config = None) -> None:
        """Everything in one process: receiver, API and consumers."""
        with_settings(commands.run, config)

    @app.command()
    def serve(config: Config = None) -> None:
        """Receiver and API; consumers run elsewhere."""
        with_settings(commands.serve, config)

    @app.command()
    def consume(config: Config = None) -> None:
        """Consumers; any number of processes share the work."""
        with_settings(commands.consume, config)

    @app.command()
    def migrate(config: Config = None) -> None:
        """Brings the store's schema up to date."""
        with_settings(commands.migrate, config)

    @app.command()
    def topics(config: Config = None) -> None:
        """Creates missing topics and names every difference of those that exist; alters nothing."""
        with_settings(commands.topics, config)

    @app.command()
    def demo(once: Annotated[bool, typer.Option("--once", help="End with the verdict.")] = False) -> None:
        """A campaign, a gateway and a CRM on this machine, and a proof at the end."""
        raise typer.Exit(uvloop.run(commands.demo(once=once)))

    @app.command("demo-crm")
    def demo_crm(
        port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0: a free one.")],
        listen: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
        key: Annotated[str, typer.Option(help="The API key it demands.")] = "demo-crm-key",
        header: Annotated[str, typer.Option(help="The header it wants the key in.")] = "X-API-Key",
        quirks: Annotated[bool, typer.Option("--quirks", help="Behave like a careless CRM.")] = False,
    ) -> None:
        """A CRM that speaks the contract and shows what it holds."""
        raise typer.Exit(uvloop.run(commands.demo_crm(host=listen, port=port, key=key, header=header, quirks=quirks)))

    return app


def invoke(app: typer.Typer, arguments: list[str]) -> int:
    """Runs a command: its exit code, 1 for what cannot be done, 2 for wrong arguments; one line each, no traceback."""
    try:
        code = app(args=arguments or ["--help"], standalone_mode=False)
    except typer.Exit as exit_:
        return exit_.exit_code
    except (typer.TyperException, ArgumentsError) as error:
        said = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"gateway: {said.rstrip('.')}; see gateway --help", file=sys.stderr)
        return 2
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return int(code or 0) if arguments else 2
