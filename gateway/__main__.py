"""The composition root: settings to log, store, CRM and clock to a command. Nothing else here knows the consumers."""

from __future__ import annotations

import random
import sys

from consumers.engine import Engine
from gateway import cli
from gateway.contracts.log import topic_of
from gateway.log import open_log
from gateway.process import Process, consume_until_stopped, opened, serve_until_stopped
from gateway.settings import Settings
from gateway.store import migrate, workspace_names
from gateway.telemetry import configure_logging


class Commands:
    """What each command does."""

    async def run(self, settings: Settings) -> int:
        """Receiver, API and consumers in one process."""
        configure_logging(settings.logging_level)
        async with opened(settings) as process:
            return await serve_until_stopped(process, lambda: _engine(process).run_until(process.stopping))

    async def serve(self, settings: Settings) -> int:
        """Receiver and API."""
        configure_logging(settings.logging_level)
        async with opened(settings) as process:
            return await serve_until_stopped(process)

    async def consume(self, settings: Settings) -> int:
        """Consumers."""
        configure_logging(settings.logging_level)
        async with opened(settings) as process:
            return await consume_until_stopped(process, lambda: _engine(process).run_until(process.stopping))

    async def migrate(self, settings: Settings) -> int:
        """Brings the store's schema up to date."""
        await migrate(settings.store_url)
        return 0

    async def topics(self, settings: Settings) -> int:
        """Creates missing topics; 1 when one that exists differs from what is expected."""
        names = await workspace_names(settings.store_url)
        events = await open_log(settings.log_url, user=settings.log_user, password=_secret(settings))
        try:
            reports = await events.ensure_topics([topic_of(name) for name in names])
        finally:
            await events.close()
        for report in reports:
            if report.created:
                print(f"{report.topic}: created")
            for difference in report.differences:
                print(f"{report.topic}: {difference}", file=sys.stderr)
        return 1 if any(report.differences for report in reports) else 0

    async def demo(self, *, once: bool) -> int:
        """A campaign, a gateway and a CRM on this machine, and a proof."""
        from gateway.demo.show import run_demo  # the demo's libraries are nothing a gateway in service should load

        return await run_demo(once)

    async def demo_crm(self, *, host: str, port: int, key: str, header: str, quirks: bool) -> int:
        """A CRM to try things against."""
        from gateway.demo.crm import run_demo_crm  # likewise

        await run_demo_crm(host, port, key, header, quirks)
        return 0


def _engine(process: Process) -> Engine:
    return Engine(
        events=process.log,
        store=process.store,
        live=process.live,
        clock=process.clock,
        metrics=process.metrics,
        open_crm=process.open_crm,
        process=process.name,
        # Jitter only: what it spreads is nothing anybody could gain from guessing.
        random=random.random,
        drain_s=process.settings.drain_seconds,
    )


def _secret(settings: Settings) -> str | None:
    return settings.log_password.get_secret_value() if settings.log_password else None


def main() -> None:
    """The script `gateway`."""
    sys.exit(cli.invoke(cli.application(Commands()), sys.argv[1:]))


if __name__ == "__main__":
    main()
