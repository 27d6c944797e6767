"""The composition root: the only place that builds the parts of a running service.

Knows how parts fit together and nothing of what they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import structlog

from app import blocklist, master_key
from app.accounts import Accounts
from app.clock import now as now  # noqa: PLC0414 - others know it by this place
from app.dispatcher import Commit, Dispatcher
from app.failed_logins import FailedLogins
from app.issuing import Issuer
from app.lookup import Lookup, lookup_of
from app.metrics import Metrics
from app.opening import Opener
from app.passwords import HashPool
from app.readiness import Readiness
from app.registration import Rules
from app.sessions import Sessions
from app.settings import Settings
from app.store import Store, open_store, storage_of
from app.throttle import RegistrationBudget, SourceBudget
from app.tokens.key_ring import KeyRing
from app.vault import Vault
from app.writer import Answer, Wish, Writer
from domain.errors import GatebookError
from domain.policy import SECOND, Policy

LOOK_ROUND: Final = 0.5
"""Seconds between two looks at the store's generation, for processes that nobody asks."""

_logger = structlog.get_logger("gatebook")


class Service(msgspec.Struct, frozen=True):
    """A running service; belongs to the event loop that started it."""

    settings: Settings
    store: Store
    lookup: Lookup
    dispatcher: Dispatcher
    keys: KeyRing
    opener: Opener
    pool: HashPool
    accounts: Accounts
    sessions: Sessions
    readiness: Readiness
    metrics: Metrics
    stopping: asyncio.Event


def policy_of(settings: Settings) -> Policy:
    """What the settings say, in the rules' terms."""
    return Policy(
        session_idle=settings.session_idle * SECOND,
        session_max=settings.session_max * SECOND,
        record_every_use=settings.refresh_audit == "every",
    )


def rules_of(settings: Settings) -> Rules:
    """What the settings say of new users."""
    return Rules(settings.registration == "open", settings.secret_min_length, blocklist.load())


def open_vault(settings: Settings) -> Vault:
    """The vault of the settings' master key, which is made when that is allowed."""
    return Vault(*master_key.obtain(settings))


def open_writer(store: Store, settings: Settings) -> Writer:
    """A writer of one's own, for a process without an event loop."""
    return Writer(store.log, store.vault, store.ring, policy_of(settings))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """A service, from its open store to its drained queue."""
    store = await asyncio.to_thread(_open, settings)
    try:
        async with _serving(settings, store) as service:
            yield service
    finally:
        await asyncio.to_thread(store.storage.close)


def _open(settings: Settings) -> Store:
    storage = storage_of(settings.database_url)
    return open_store(storage, open_vault(settings), settings.signing_algorithm)


@asynccontextmanager
async def _serving(settings: Settings, store: Store) -> AsyncIterator[Service]:
    metrics = Metrics()
    policy = policy_of(settings)
    lookup = lookup_of(store.storage)
    writer = open_writer(store, settings)
    dispatcher = Dispatcher(_observed(writer, metrics))
    keys = KeyRing(store)
    opener = Opener(store.vault)
    issuer = Issuer(keys, settings.issuer, settings.audience, settings.access_token_ttl)
    pool = HashPool(
        threads=settings.hash_threads,
        memory_kib=settings.hash_memory_kib,
        time_cost=settings.hash_time,
        observe=metrics.hash_seconds.observe,
    )
    metrics.hash_queue.set_function(lambda: pool.queue_length)
    metrics.command_queue.set_function(lambda: dispatcher.waiting)
    failed_logins = FailedLogins(dispatcher, now)
    accounts = Accounts(
        lookup,
        dispatcher,
        issuer,
        opener,
        pool,
        SourceBudget(time.monotonic),
        RegistrationBudget(settings.registrations_per_hour, time.monotonic),
        failed_logins,
        policy,
        rules_of(settings),
        store.ring,
        now,
    )
    sessions = Sessions(lookup, dispatcher, issuer, opener, policy, store.ring.refresh, now)
    stopping = asyncio.Event()
    readiness = Readiness(store, keys, stopping, now)
    service = Service(
        settings,
        store,
        lookup,
        dispatcher,
        keys,
        opener,
        pool,
        accounts,
        sessions,
        readiness,
        metrics,
        stopping,
    )
    dispatcher.start()
    upkeep = asyncio.create_task(_keep_up(service, failed_logins))
    try:
        yield service
    finally:
        upkeep.cancel()
        with suppress(asyncio.CancelledError):
            await upkeep
        readiness.close()
        await failed_logins.close()
        await dispatcher.stop()
        await lookup.close()
        pool.close()


async def _keep_up(service: Service, failed_logins: FailedLogins) -> None:
    """What goes on beside the requests; a fault of the store is met again next time."""
    while True:
        await asyncio.sleep(LOOK_ROUND)
        try:
            generation = (await service.lookup.head()).generation
            await service.keys.at(generation)
            service.opener.at(generation)
            await failed_logins.write()
        except GatebookError as error:
            _logger.warning("upkeep_failed", detail=error.detail)
        except Exception:
            _logger.exception("upkeep_failed")


def _observed(writer: Writer, metrics: Metrics) -> Commit:
    def commit(batch: Sequence[Wish]) -> list[Answer]:
        started = time.perf_counter()
        answers = writer.commit(batch)
        metrics.commit_seconds.observe(time.perf_counter() - started)
        metrics.batch_commands.observe(len(batch))
        for answer in answers:
            if isinstance(answer, tuple):
                for recorded in answer:
                    metrics.wrote(recorded.event.name)
        return answers

    return commit
