"""Controls of proofs of disks: a write, or a read, that a broken disk keeps waiting is noticed.

Each has a disk of its own. Knows no proof.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.prove.client import Client, a_source
from tests.prove.cuts import new_store
from tests.prove.kept_waiting import somebody, waited
from tests.prove.load import Ledger, log_in, refresh, register
from tests.prove.reads import Reader
from tests.prove.tally import Tally
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.prove.disk import Disk


def writes_are_late(broken: Mapping[str, int], given: Mapping[str, str], when: str) -> bool:
    """The control of a disk that is broken so: whether it shows that a write is answered late."""
    with new_store() as (url, disk), running(_on(disk, url, given), disk.preloaded) as server:
        return asyncio.run(_write(server.port, disk, broken, when))


async def _write(port: int, disk: Disk, broken: Mapping[str, int], when: str) -> bool:
    async with somebody(port) as one:
        _be(disk, broken)
        one.ask()
        await one.wait()
        _be(disk, dict.fromkeys(broken, 0))
        return await one.heard_late(when)


def both_are_late(
    broken: Mapping[str, int], given: Mapping[str, str], when: str
) -> tuple[bool, bool]:
    """The same of a service whose reads wait for its writes: whether it shows in either."""
    with new_store() as (url, disk):
        given = _on(disk, url, {**given, "TEST_READS_WAIT": "1"})
        with running(given, disk.preloaded) as server:
            return asyncio.run(_write_and_read(server.port, disk, broken, when))


async def _write_and_read(
    port: int, disk: Disk, broken: Mapping[str, int], when: str
) -> tuple[bool, bool]:
    tally, ledger, mended = Tally(), Ledger(), asyncio.Event()
    async with somebody(port) as one, Client(port, a_source()) as client:
        user_key = await register(client, ledger) or ""
        token = await log_in(client, ledger, user_key) or ""
        await refresh(client, ledger, token)
        _be(disk, broken)
        one.ask()
        reader = Reader(client, token)
        reading = asyncio.create_task(reader.read_until(mended.is_set, when, 0.0, tally))
        await one.wait()
        await waited(client)
        _be(disk, dict.fromkeys(broken, 0))
        mended.set()
        await reading
        late = await one.heard_late(when)
    return late, any(each.startswith("a read took") for each in tally.first)


def _on(disk: Disk, url: str, given: Mapping[str, str]) -> dict[str, str]:
    return settings(url, **given, **disk.settings)


def _be(disk: Disk, how: Mapping[str, int]) -> None:
    for name, value in how.items():
        setattr(disk.control, name, value)
