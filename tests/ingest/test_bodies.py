from __future__ import annotations

import asyncio
import gzip
import zlib

import orjson
import pytest

from gateway.ingest.limits import KIB, MIB, DoorLimits
from tests.ingest.door import ADMIN, SECRET, Door, open_door
from tests.support.eventually import eventually

HOOK = orjson.dumps({"eventType": "EMAIL_SENT", "data": {"contact": {"id": 6001}, "body": "Hello " * 50}})


def head(*lines: str, secret: str = SECRET) -> bytes:
    return "\r\n".join(
        ["POST /webhooks/enginy HTTP/1.1", "Host: x", f"X-Webhook-Secret: {secret}", *lines, "", ""]
    ).encode()


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(HOOK)),
        ("GZIP", gzip.compress(HOOK)),
        ("x-gzip", gzip.compress(HOOK)),
        ("gzip", gzip.compress(HOOK[:10]) + gzip.compress(HOOK[10:])),
        ("deflate", zlib.compress(HOOK)),
        ("deflate", raw_deflate(HOOK)),
        ("identity", HOOK),
    ],
)
async def test_a_compressed_body_is_read_and_kept_as_it_was_before(door: Door, encoding: str, body: bytes) -> None:
    assert (await door.hook(body, Content_Encoding=encoding)).status == 202
    (kept,) = await door.kept()
    assert kept.raw == HOOK


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "nonsense"])
async def test_another_encoding_is_refused(door: Door, encoding: str) -> None:
    answer = await door.hook(HOOK, Content_Encoding=encoding)
    assert answer.status == 415
    assert answer.problem()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b""),
        ("gzip", b"not gzip at all"),
        ("gzip", gzip.compress(HOOK)[:-9]),
        ("gzip", gzip.compress(HOOK)[:5]),
        ("gzip", gzip.compress(HOOK) + b"rest"),
        ("gzip", gzip.compress(HOOK)[:-4] + b"\0\0\0\0"),
        ("deflate", zlib.compress(HOOK)[:-5]),
        ("deflate", zlib.compress(HOOK) + b"rest"),
        ("deflate", b""),
        ("deflate", b"\xff\xff\xff\xff"),
    ],
)
async def test_a_torn_compressed_body_is_refused(door: Door, encoding: str, body: bytes) -> None:
    answer = await door.hook(body, Content_Encoding=encoding)
    assert answer.status == 400
    assert answer.problem()
    assert await door.kept() == []


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
async def test_a_bomb_is_refused_at_the_limit_of_what_it_unpacks_to(door: Door, compress) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    assert (await door.hook(compress(b"0" * (64 * MIB)), Content_Encoding=encoding)).status == 413
    assert (await door.hook(gzip.compress(gzip.compress(b"0" * 64 * MIB)), Content_Encoding="gzip")).status == 202


async def test_many_small_members_count_together(door: Door) -> None:
    member = gzip.compress(b"0" * (64 * KIB))
    assert (await door.hook(member * 17, Content_Encoding="gzip")).status == 413
    assert (await door.hook(member * 16, Content_Encoding="gzip")).status == 202


@pytest.mark.parametrize(("size", "status"), [(MIB, 202), (MIB + 1, 413)])
async def test_a_body_may_be_one_mebibyte(door: Door, size: int, status: int) -> None:
    answer = await door.hook(b"x" * size)
    assert answer.status == status
    assert len(await door.kept()) == (1 if status == 202 else 0)


async def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(door: Door) -> None:
    answer = await door.raw(head(f"Content-Length: {10**12}"), head_only=True)
    assert answer.startswith(b"HTTP/1.1 413")
    assert door.refused("body too large") == 1


async def test_a_body_without_a_length_is_refused_once_it_is_too_long(door: Door) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = await door.raw(head("Transfer-Encoding: chunked"), *[chunk] * 17, head_only=True)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_chunked_body_is_read_whole(door: Door) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, HOOK[at : at + 1]) for at in range(len(HOOK))) + b"0\r\n\r\n"
    answer = await door.raw(head("Transfer-Encoding: chunked", "Connection: close"), chunks)
    assert answer.startswith(b"HTTP/1.1 202")
    (kept,) = await door.kept()
    assert kept.raw == HOOK


async def test_a_body_that_is_cut_off_is_not_kept(door: Door) -> None:
    await door.raw(head(f"Content-Length: {len(HOOK)}"), HOOK[:-1], close=True)
    await eventually(lambda: door.refused("body truncated") == 1)
    assert await door.kept() == []


async def test_a_torn_chunk_is_refused(door: Door) -> None:
    answer = await door.raw(head("Transfer-Encoding: chunked"), b"5\r\nab", b"\r\nZZ\r\n")
    assert answer.split()[1] == b"400"
    assert await door.kept() == []


async def test_a_body_that_is_not_complete_in_time_is_cut_off() -> None:
    async with open_door(DoorLimits(body_s=0.1)) as door:
        assert await door.raw(head(f"Content-Length: {len(HOOK)}"), HOOK[:-1]) == b""
        await eventually(lambda: door.refused("body too slow") == 1)
        assert await door.kept() == []
        assert door.counters.refused("enginy") == 1


async def test_a_body_may_arrive_in_pieces(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(head(f"Content-Length: {len(HOOK)}", "Connection: close"))
    for at in range(0, len(HOOK), 50):
        writer.write(HOOK[at : at + 50])
        await writer.drain()
    assert (await reader.read()).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_a_stranger_is_refused_before_the_body_is_read(door: Door) -> None:
    answer = await door.raw(head("Content-Length: 1000000", "Connection: close", secret="wrong"), b"x", head_only=True)
    assert answer.startswith(b"HTTP/1.1 401")


async def test_a_compressed_batch_has_the_limit_of_batches(door: Door) -> None:
    event = {"specversion": "1.0", "source": "acme", "type": "campaign.email.sent", "data": {"contact": {"id": 1}}}
    lines = b"\n".join(orjson.dumps(event | {"id": str(number), "pad": "x" * 900}) for number in range(2000))
    assert len(lines) > MIB
    answer = await door.events(gzip.compress(lines), kind="application/x-ndjson", key=ADMIN, Content_Encoding="gzip")
    assert (answer.status, answer.document["accepted"]) == (202, 2000)
