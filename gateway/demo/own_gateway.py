"""The demo's own gateway: a child process in a folder of its own, driven from outside like any other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from gateway.contracts.errors import GatewayError
from gateway.settings import PREFIX

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 40.0
POLL_S = 0.1


class DemoFailed(GatewayError):
    """The demo could not be shown."""


class OwnGateway:
    """`gateway run` on free ports of this machine's loopback; settings of the environment do not reach it."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self._folder, self._session = folder, session
        self.admin_key = secrets.token_urlsafe(24)
        public, admin = free_port(), free_port()
        self.public_url, self.admin_url = f"http://127.0.0.1:{public}", f"http://127.0.0.1:{admin}"
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
        self._environment = inherited | {
            "CAMPAIGN_LOG_URL": f"sqlite:///{folder / 'log.db'}",
            "CAMPAIGN_STORE_URL": f"sqlite:///{folder / 'state.db'}",
            "CAMPAIGN_PUBLIC_LISTEN": f"127.0.0.1:{public}",
            "CAMPAIGN_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "CAMPAIGN_ADMIN_KEY": self.admin_key,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it is ready. Raises DemoFailed with its last line when it ends, or takes too long."""
        with self._output.open("ab") as output:
            # A session of its own: Ctrl-C is for the demo, which ends its gateway in order.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run",
                env=self._environment, cwd=self._folder, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        end = asyncio.get_running_loop().time() + READY_WITHIN_S
        while not await self._ready():
            if asyncio.get_running_loop().time() > end:
                raise DemoFailed(f"the demo's gateway was not ready within {READY_WITHIN_S:.0f} s: {self._last_line()}")
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """Ends it in order (SIGTERM); by force when it takes too long. Harmless when it never started."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A call of the management API. Raises DemoFailed for an answer that is no success."""
        headers = {"x-api-key": self.admin_key}
        try:
            async with self._session.request(method, self.admin_url + path, json=body, headers=headers) as answer:
                if not answer.ok:
                    raise DemoFailed(f"{method} {path}: {answer.status} {(await answer.text())[:300]}")
                return None if answer.status == HTTPStatus.NO_CONTENT else await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DemoFailed(f"{method} {path}: {error or 'no answer'}; {self._last_line()}") from None

    @property
    def _output(self) -> Path:
        return self._folder / "gateway.log"

    async def _ready(self) -> bool:
        assert self._process is not None, "it was started"
        if self._process.returncode is not None:
            raise DemoFailed(f"the demo's gateway ended: {self._last_line()}")
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.get(self.admin_url + "/readyz") as answer:
                return answer.ok
        return False

    def _last_line(self) -> str:
        lines = self._output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
