"""Many clients at once: idle ones, slow ones, and some who ask as usual meanwhile.

Knows how a client is slow, and nothing of the bytes that others send.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.prove.client import Client, a_source

if TYPE_CHECKING:
    from tests.prove.tally import Tally

SLOW: Final = 5
"""One in so many sends its head bit by bit, another its body."""
PIPELINED: Final = 200
OTHERS: Final = 4
ASKED_EACH: Final = 10
DRIP_S: Final = 0.2
PATIENCE_S: Final = 60.0
"""Longer than any deadline; only ever spent when somebody isn't cut off."""
MOMENT_S: Final = 2.0
_GET: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
_BODY: Final = b"POST /revoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


class Patience(NamedTuple):
    """Seconds that a server has for a head and for a body, and those for all that is beside it."""

    head_s: float
    body_s: float
    room_s: float


async def come_together(port: int, number: int, patience: Patience, tally: Tally) -> None:
    """So many; the slow ones are cut off in time, the idle ones stay, all others are answered."""
    idle = []
    for _ in range(number):
        streams = await asyncio.open_connection("127.0.0.1", port, local_addr=(a_source(), 0))
        await _ask(*streams)
        idle.append(streams)
    heads, bodies = (
        [asyncio.create_task(_be_slow(port, start, bit)) for _ in range(number // SLOW)]
        for start, bit in ((_GET + b"X: ", b"y"), (_BODY + b"Content-Length: 9999\r\n\r\n", b" "))
    )
    await asyncio.gather(*(_use(port, tally) for _ in range(OTHERS)))
    await _pipeline(port, tally)
    for what, slow, within in (
        ("head", heads, patience.head_s),
        ("body", bodies, patience.body_s),
    ):
        for took in await asyncio.gather(*slow):
            tally.figure(f"seconds until a slow {what} was cut off", took)
            in_time = took <= within + patience.room_s
            tally.expect(in_time, f"a slow {what} was cut off after {took:.1f} s, not {within} s")
        tally.count("slow clients cut off", len(slow))
    for reader, writer in idle:
        with suppress(OSError, EOFError):
            tally.expect(await _ask(reader, writer) == 200, "an idle client was not answered")
            tally.count("idle clients answered in the end")
        writer.close()
    answered = tally.counts.get("idle clients answered in the end", 0)
    tally.expect(answered >= number, f"{number - answered} idle clients were cut off")


async def is_patient(port: int) -> bool:
    """Whether a slow client is still there after a moment."""
    try:
        async with asyncio.timeout(MOMENT_S):
            await _be_slow(port, _GET, b"")
    except TimeoutError:
        return True
    return False


async def _be_slow(port: int, start: bytes, bit: bytes) -> float:
    """Seconds until it is cut off; when it isn't, those that it waited."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(a_source(), 0))
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        writer.write(start)
        while clock() - begun < PATIENCE_S:
            writer.write(bit)
            with suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(1_000), DRIP_S):
                    break
    except ConnectionError:
        pass
    finally:
        writer.close()
    return clock() - begun


async def _use(port: int, tally: Tally) -> None:
    """Somebody registers, logs in and refreshes as if nobody else were there."""
    async with Client(port, a_source()) as client:
        name = {"user_id": f"person{id(client):x}", "user_secret": "a quiet rope of seven"}
        made = await client.post("/register", **name)
        tally.expect(made.status in {201, 409}, f"registering in a crowd: {made.status}")
        known = await client.post("/userkey", **name)
        secret = {"user_secret": name["user_secret"]}
        tokens = (await client.post("/authenticate", **known.json, **secret)).json
        for _ in range(ASKED_EACH):
            answer = await client.post("/refresh", refresh_token=tokens["refresh_token"])
            tally.expect(answer.status == 200, f"refreshing in a crowd: {answer.status}")
            tally.figure("seconds that an ordinary request took in the crowd", answer.seconds)
        tally.count("answered in the crowd", ASKED_EACH)


async def _pipeline(port: int, tally: Tally) -> None:
    """Many requests in one packet are answered in their order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(a_source(), 0))
    codes = ["not_found", "invalid_token", "too_large"]
    asked = [codes[number % len(codes)] for number in range(PIPELINED)]
    head = "GET /errors/{} HTTP/1.1\r\nHost: a\r\nAccept: application/problem+json\r\n\r\n"
    writer.write("".join(head.replace("{}", each) for each in asked).encode())
    told = []
    async with asyncio.timeout(PATIENCE_S):
        for _ in asked:
            _, body = await _answer(reader)
            told.append(next((each for each in codes if each.encode() in body), ""))
    writer.close()
    tally.expect(told == asked, f"answers in another order: {json.dumps(told)}")
    tally.count("pipelined requests answered in order", len(told))


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    writer.write(_GET + b"\r\n")
    status, _ = await _answer(reader)
    return status


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)
