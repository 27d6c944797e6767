"""What the tests here run in other processes. Knows nothing but a database's URL."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.store import wishing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.synchronize import Barrier

MASTER = bytes(range(32))

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "tests.store.processes"])


def barrier(parties: int) -> Barrier:
    """Where that many processes wait for each other."""
    return _context.Barrier(parties, timeout=20)


def gather(function: Callable[..., None], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Run each call in a process of its own; what they put into their last argument, a queue."""
    results: Any = _context.SimpleQueue()
    processes = [_context.Process(target=function, args=(*call, results)) for call in calls]
    for process in processes:
        process.start()
    found = []
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
        found.append(results.get())
    return found


def open_together(urls: list[str], start: Barrier, results: Any) -> None:
    """Open each store at the same moment as the other processes do."""
    found = []
    for url in urls:
        start.wait()
        store = open_store(storage_of(url), Vault(MASTER), "ES256")
        found.append((store.log_id, store.ring))
        store.storage.close()
    results.put(found)


def write_much(url: str, label: str, results: Any) -> None:
    """As `write`, on a storage of its own."""
    results.put(write(url, label))


def write(url: str, label: str, rounds: int = 8) -> int:
    """Register people and log one hot user in; how many events that came to."""
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy(session_cap=5))
    count = 0
    for each in range(rounds):
        batch = [
            wishing.register(f"{label}-{each}"),
            wishing.log_in("hot", f"{label}-{each}"),
            wishing.log_in(f"{label}-{each}", f"own-{label}-{each}"),
        ]
        for answer in writer.commit(batch):
            assert not isinstance(answer, Exception), answer
            count += len(answer)
    store.storage.close()
    return count
