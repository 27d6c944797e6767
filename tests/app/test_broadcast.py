"""What is told to all: in order, from where one came in, and to no one who is far behind."""

from __future__ import annotations

import asyncio

import pytest

from app.broadcast import Broadcast, FarBehind


def test_whoever_waits_hears_what_is_told_next() -> None:
    async def follow() -> list[str | None]:
        told = Broadcast[str](2)
        told.tell("before")
        waiting = asyncio.gather(*(told.after(told.told) for _ in range(3)))
        await asyncio.sleep(0)
        told.tell("now")
        told.tell("then")
        return await waiting

    assert asyncio.run(follow()) == ["now", "now", "now"]


def test_the_last_ones_are_kept_and_whoever_is_further_behind_is_told_so() -> None:
    async def follow() -> list[str | None]:
        told = Broadcast[str](2)
        for each in "abc":
            told.tell(each)
        with pytest.raises(FarBehind):
            await told.after(0)
        return [await told.after(1), await told.after(2)]

    assert asyncio.run(follow()) == ["b", "c"]


def test_at_the_end_there_is_no_more_after_the_last() -> None:
    async def follow() -> list[str | None]:
        told = Broadcast[str](2)
        waiting = asyncio.ensure_future(told.after(1))
        told.tell("last")
        await asyncio.sleep(0)
        told.end()
        return [await told.after(0), await waiting, await told.after(1)]

    assert asyncio.run(follow()) == ["last", None, None]
