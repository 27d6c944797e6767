"""The composition root: the only place that builds the parts of a running service.

Knows how parts fit together and nothing of what they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import msgspec

from app import blocklist, master_key
from app.accounts import Accounts
from app.administration import Administration, Directory
from app.as_of import AsOf
from app.buckets import Keeper
from app.buckets_memory import MemoryKeeper
from app.buckets_postgres import PostgresKeeper
from app.clock import now
from app.confirmed import Confirmed
from app.dispatcher import Commit, Dispatcher
from app.erasing import Erasing
from app.event_feed import EventFeed
from app.event_pages import EventPages
from app.failed_logins import FailedLogins
from app.following import Following
from app.grants import Grants
from app.hash_parameters import HashParameters
from app.heartbeats import Heartbeats
from app.introspection import Introspection
from app.issuing import Issuer
from app.lookup import Lookup, lookup_of
from app.metrics import Metrics
from app.opening import Opener
from app.page_sessions import PageSessions
from app.passwords import HashPool
from app.proving import Proving
from app.readiness import Readiness
from app.reading import Reading
from app.rebuilding import Rebuilding
from app.recognition import Recognition
from app.refresh_tokens import RefreshTokens
from app.registration import Registration, Rules
from app.rehashing import Rehashing
from app.revocation_feed import RevocationFeed
from app.service_sessions import ServiceSessions
from app.session_list import SessionList
from app.sessions import Sessions
from app.settings import Settings
from app.signing_keys import KeyRotation
from app.store import Store, open_store, storage_of
from app.streams import Streams
from app.tally import Tally
from app.throttle import AccountBudget, RegistrationBudget, SourceBudget
from app.tokens.key_ring import KeyRing
from app.turning import Turns
from app.upkeep import Upkeep
from app.uses import Uses
from app.vault import Vault
from app.writer import Answer, Wish, Writer
from domain.policy import SECOND, Policy
from projections.storage import Storage

REVOCATION_STREAMS: Final = 256
"""Of one source at a time."""
LIVE_STREAMS: Final = 4
"""Of one source at a time, of whatever shows what happens."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A running service; belongs to the event loop that started it."""

    settings: Settings
    store: Store
    lookup: Lookup
    dispatcher: Dispatcher
    failed_logins: FailedLogins
    keys: KeyRing
    key_rotation: KeyRotation
    opener: Opener
    pool: HashPool
    proving: Proving
    accounts: Accounts
    refresh_tokens: RefreshTokens
    service_sessions: ServiceSessions
    recognition: Recognition
    sessions: Sessions
    page_sessions: PageSessions
    introspection: Introspection
    administration: Administration
    directory: Directory
    as_of: AsOf
    erasing: Erasing
    session_list: SessionList
    revocations: RevocationFeed
    revocation_streams: Streams
    event_pages: EventPages
    event_feed: EventFeed
    turns: Turns
    heartbeats: Heartbeats
    tally: Tally
    live_streams: Streams
    reading: Reading
    following: Following
    rebuilding: Rebuilding
    readiness: Readiness
    metrics: Metrics
    stopping: asyncio.Event


def policy_of(settings: Settings) -> Policy:
    """What the settings say, in the rules' terms."""
    return Policy(
        session_idle=settings.session_idle * SECOND,
        session_max=settings.session_max * SECOND,
        record_every_use=settings.refresh_audit == "every",
        retry_window=settings.refresh_retry_window * SECOND,
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


def reading_of(store: Store) -> Reading:
    """What reads lists, by a thread of its own."""
    storage, owned = own_storage(store)
    return Reading(storage, owned=owned)


def keepers_of(store: Store) -> tuple[Following, Rebuilding]:
    """What keeps views besides the writer, each by a thread of its own."""
    follows, owned = own_storage(store)
    rebuilds, _ = own_storage(store)
    return Following(follows, owned=owned), Rebuilding(rebuilds, owned=owned)


def own_storage(store: Store) -> tuple[Storage, bool]:
    """A storage for a thread of its own, and whether it is to be closed.

    On PostgreSQL another one: a storage has a connection for each purpose, for which others wait.
    """
    storage = store.storage.another()
    return storage, storage is not store.storage


def keeper_of(settings: Settings, store: Store, pool: HashPool) -> Keeper:
    """Where budgets are kept: beside the log when several processes share a store."""
    if store.storage.kind == "sqlite":
        return MemoryKeeper(time.monotonic, pool.expect)
    return PostgresKeeper(settings.database_url, store.ring.network, pool.expect)


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
    async with AsyncExitStack() as ending:
        service = composed(settings, store, open_writer(store, settings), ending)
        upkeep = Upkeep(service, HashParameters(store.storage, service.pool))
        await upkeep.begin()
        service.dispatcher.start()
        ending.push_async_callback(_stopped, asyncio.create_task(upkeep.go_on()))
        ending.callback(store.storage.hasten)
        yield service


def composed(
    settings: Settings,
    store: Store,
    writer: Writer,
    ending: AsyncExitStack,
    *,
    queue: Callable[[Commit, Callable[[], None]], Dispatcher] = Dispatcher,
    clock: Callable[[], int] = now,
) -> Service:
    """Every part of a service, put together on the running loop; none of them has begun to work.

    `ending` closes them. `queue` stands before the writer; `clock` gives µs.
    """
    metrics, stopping = Metrics(), asyncio.Event()
    policy, ring = policy_of(settings), store.ring
    pool = _pool(settings, metrics)
    ending.callback(pool.close)
    lookup = lookup_of(store.storage)
    ending.push_async_callback(lookup.close)
    keeper = keeper_of(settings, store, pool)
    ending.push_async_callback(keeper.close)
    dispatcher = queue(_observed(writer, metrics), store.storage.tidy)
    ending.push_async_callback(dispatcher.stop)
    failed_logins = FailedLogins(dispatcher, clock)
    ending.push_async_callback(failed_logins.close)
    rehashing = Rehashing(dispatcher.dispatch, pool)
    ending.push_async_callback(rehashing.close)
    # One each, so that pages, which anybody may ask for, hold up neither lists nor the feed.
    reading, looking, paging = (reading_of(store) for _ in range(3))
    for each in (reading, looking, paging):
        ending.callback(each.close)
    following, rebuilding = keepers_of(store)
    ending.push_async_callback(following.close)
    ending.push_async_callback(rebuilding.close)
    keys, erasing = KeyRing(store), Erasing(store.storage)
    ending.callback(erasing.close)
    readiness = Readiness(store, keys, stopping, clock)
    ending.callback(readiness.close)
    confirming, owned = own_storage(store)
    confirmed = Confirmed(confirming, owned=owned)
    ending.push_async_callback(confirmed.close)
    revocations = RevocationFeed(looking, paging, confirmed, stopping, clock)
    ending.push_async_callback(revocations.close)
    event_feed = EventFeed(reading, store.vault, lookup.head, confirmed, stopping)
    ending.push_async_callback(event_feed.close)
    streams, live_streams = Streams(REVOCATION_STREAMS), Streams(LIVE_STREAMS)
    _watch(metrics, pool, dispatcher, (streams, live_streams), keys)
    dispatch = dispatcher.dispatch
    # Lists are read by another thread, and seldom.
    opener, reader = Opener(store.vault), Opener(store.vault, remembered=0)
    issuer = Issuer(keys, settings.issuer, settings.audience, settings.access_token_ttl)
    grants = Grants(issuer, opener, policy, clock)
    uses = Uses(opener, policy, writer.is_sure, clock)
    recognition = Recognition(lookup, issuer, policy, clock)
    registration = Registration(dispatch, pool, rules_of(settings))
    sources = SourceBudget(keeper)
    proving = Proving(
        lookup,
        opener,
        pool,
        sources,
        AccountBudget(keeper),
        failed_logins,
        rehashing,
        ring.network,
        clock,
    )
    accounts = Accounts(
        dispatcher,
        issuer,
        opener,
        proving,
        registration,
        RegistrationBudget(settings.registrations_per_hour, keeper),
        sources,
        policy,
        ring,
        clock,
    )
    refresh_tokens = RefreshTokens(
        lookup,
        dispatcher,
        grants,
        uses,
        policy,
        ring.refresh,
        clock,
        always_rotate=settings.refresh_rotation == "always",
    )
    return Service(
        settings=settings,
        store=store,
        lookup=lookup,
        dispatcher=dispatcher,
        failed_logins=failed_logins,
        keys=keys,
        key_rotation=KeyRotation(dispatch, store.vault, settings),
        opener=opener,
        pool=pool,
        proving=proving,
        accounts=accounts,
        refresh_tokens=refresh_tokens,
        page_sessions=PageSessions(accounts, refresh_tokens, opener, policy),
        service_sessions=ServiceSessions(lookup, dispatch, grants, proving, uses, policy, clock),
        recognition=recognition,
        sessions=Sessions(lookup, dispatch, recognition, opener),
        introspection=Introspection(lookup, dispatch, recognition, opener),
        administration=Administration(dispatch, registration),
        directory=Directory(reader, ring, policy),
        as_of=AsOf(store.vault, policy),
        erasing=erasing,
        session_list=SessionList(reader, policy),
        revocations=revocations,
        revocation_streams=streams,
        event_pages=EventPages(reading, store.vault, confirmed),
        event_feed=event_feed,
        turns=Turns(reading, store.vault, policy),
        heartbeats=Heartbeats(lookup.head, stopping),
        tally=Tally(paging, clock),
        live_streams=live_streams,
        reading=reading,
        following=following,
        rebuilding=rebuilding,
        readiness=readiness,
        metrics=metrics,
        stopping=stopping,
    )


def _watch(
    metrics: Metrics,
    pool: HashPool,
    dispatcher: Dispatcher,
    streams: tuple[Streams, Streams],
    keys: KeyRing,
) -> None:
    """What is measured when somebody asks; the streams are those of revocations and the live."""
    revocations, live = streams
    metrics.watch(metrics.revocation_streams, lambda: revocations.count)
    metrics.watch(metrics.live_streams, lambda: live.count)
    metrics.watch(metrics.hash_queue, lambda: pool.queue_length)
    metrics.watch(metrics.command_queue, lambda: dispatcher.waiting)
    metrics.watch(metrics.key_age, lambda: keys.age(now()))


def _pool(settings: Settings, metrics: Metrics) -> HashPool:
    return HashPool(
        threads=settings.hash_threads,
        memory_kib=settings.hash_memory_kib,
        time_cost=settings.hash_time,
        observe=metrics.hash_seconds.observe,
    )


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _observed(writer: Writer, metrics: Metrics) -> Commit:
    def commit(batch: Sequence[Wish]) -> list[Answer]:
        started = time.perf_counter()
        answers = writer.commit(batch)
        metrics.commit_seconds.observe(time.perf_counter() - started)
        metrics.batch_commands.observe(len(batch))
        for answer in answers:
            if isinstance(answer, tuple):
                for recorded in answer:
                    metrics.wrote(recorded.event)
        return answers

    return commit
