"""A process that appends to a SQLite log for ever and prints what was acknowledged: something to kill."""

from __future__ import annotations

import asyncio
import sys
import time

from gateway.contracts.log import NewRecord
from gateway.log import open_log


async def append_for_ever(url: str, topic: str) -> None:
    log = await open_log(url)
    await log.ensure_topics([topic])

    async def append_in_turn(key: str) -> None:
        number = 0
        while True:
            await log.append(topic, [NewRecord(key.encode(), str(number).encode(), (), int(time.time() * 1000))])
            sys.stdout.write(f"{key} {number}\n")
            sys.stdout.flush()
            number += 1

    await asyncio.gather(*(append_in_turn(f"k{n}") for n in range(16)))


if __name__ == "__main__":
    asyncio.run(append_for_ever(*sys.argv[1:]))
