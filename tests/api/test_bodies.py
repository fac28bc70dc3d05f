"""Bodies: bounded in size, time and depth, and free of what a store cannot hold."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import ClientSession, web

from gateway.api.bodies import check_text, parse_json, read_body
from gateway.contracts.errors import InvalidRequest
from tests.api.serving import serve


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b'"\\ud800"', b"[" * 5000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_json(body)


def test_depth_is_bounded() -> None:
    parse_json(b"[" * 63 + b"]" * 63)
    with pytest.raises(InvalidRequest, match="deeper than 64"):
        parse_json(b'{"a":' * 66 + b"1" + b"}" * 66)


@pytest.mark.parametrize("body", [b'["\\u0000"]', b'{"a": ["x", {"b": "\\u0000"}]}', b'{"\\u0000": 1}'])
def test_text_that_no_store_holds_is_refused_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+0000"):
        parse_json(body)


def test_a_document_is_read_as_it_is() -> None:
    document = {"a": [1, 2.5, "é", None, True], "b": {"c": 18446744073709551615}}
    assert parse_json(b'{"a":[1,2.5,"\xc3\xa9",null,true],"b":{"c":18446744073709551615}}') == document


def test_a_part_of_the_url_is_checked_too() -> None:
    check_text("id", "a/b é", bytes_max=6)
    with pytest.raises(InvalidRequest, match=r"id: holds the character U\+0000"):
        check_text("id", "a\0b", bytes_max=6)
    with pytest.raises(InvalidRequest, match="id: is longer than 6 bytes"):
        check_text("id", "a/b éé", bytes_max=6)


async def _reader(request: web.Request) -> web.Response:
    try:
        body = await read_body(request, bytes_max=1000, timeout_s=0.2)
    except InvalidRequest as error:
        return web.Response(status=400, text=str(error))
    return web.Response(text=str(len(body)))


async def test_a_body_is_read_up_to_its_limit() -> None:
    async with serve(_reader) as url, ClientSession() as session:
        async with session.post(url, data=b"x" * 1000) as response:
            assert await response.text() == "1000"
        async with session.post(url, data=b"x" * 1001) as response:
            assert response.status == 413


async def test_a_packed_body_is_measured_unpacked() -> None:
    packed = gzip.compress(b"x" * 1_000_000)
    headers = {"Content-Encoding": "gzip"}
    async with (
        serve(_reader) as url,
        ClientSession() as session,
        session.post(url, data=packed, headers=headers) as response,
    ):
        assert len(packed) < 2000
        assert response.status == 413


async def test_a_body_that_is_not_what_its_encoding_says_is_refused() -> None:
    headers = {"Content-Encoding": "gzip"}
    async with (
        serve(_reader) as url,
        ClientSession() as session,
        session.post(url, data=b"no gzip at all", headers=headers) as response,
    ):
        assert response.status == 400
        assert "Content-Encoding" in await response.text()


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    async with serve(_reader) as url:
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
