"""Every call of the contract, by threads and by tasks; lost answers; the log as it happens."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

import gatebook_client
from app.http.problem import BY_CODE as PROBLEMS
from gatebook_client import AsyncGatebook, Gatebook, GatebookAuth, errors
from gatebook_client.errors import (
    BY_CODE,
    ConfigurationError,
    InsufficientPermission,
    InvalidCredentials,
    InvalidRequest,
    LogChanged,
    NotFound,
    ServiceUnavailable,
    UnacceptableSecret,
    UnexpectedAnswer,
    UserIdTaken,
)
from gatebook_client.testing import FakeIssuer
from tests.clients_python.served import Person, Served

SECRET = "an umbrella of brass"
_numbers = itertools.count(1)


class Losing(httpx.HTTPTransport):
    """Loses the answers to these paths, once each: before it is asked, or after it was done."""

    def __init__(self, *paths: str, done: bool) -> None:
        super().__init__()
        self._paths = [*paths]
        self._done = done

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path not in self._paths:
            return super().handle_request(request)
        self._paths.remove(request.url.path)
        if self._done:
            super().handle_request(request).read()
        raise httpx.ReadError("lost", request=request)


def new_name() -> str:
    return f"new{next(_numbers)}"


@pytest.fixture(scope="module")
def admin(service: Served) -> Iterator[Gatebook]:
    person = service.person("admin")
    auth = GatebookAuth(service.url, user_key=person.user_key, user_secret=person.secret)
    with Gatebook(auth=auth) as gatebook:
        yield gatebook


def as_person(service: Served, person: Person) -> Gatebook:
    auth = GatebookAuth(service.url, user_key=person.user_key, user_secret=person.secret)
    return Gatebook(auth=auth)


def test_anybody_registers_authenticates_refreshes_and_revokes(service: Served) -> None:
    name = new_name()
    with Gatebook(service.url) as gatebook:
        key = gatebook.register(name, SECRET)
        assert gatebook.find_user_key(name.upper(), SECRET) == key
        tokens = gatebook.authenticate(key, SECRET)
        assert tokens.refresh_token is not None
        assert gatebook.refresh(tokens.refresh_token).refresh_token is None
        rotated = gatebook.refresh(tokens.refresh_token, rotate=True)
        assert rotated.refresh_token not in {None, tokens.refresh_token}
        assert rotated.session_id == tokens.session_id
        gatebook.revoke(rotated.refresh_token or "")
        assert gatebook.version().log_id
        assert gatebook.readiness().checks
        with pytest.raises(ConfigurationError, match="access token"):
            gatebook.me()


def test_refusals_are_raised_as_what_they_are(service: Served, person: Person) -> None:
    with Gatebook(service.url) as gatebook:
        with pytest.raises(UserIdTaken):
            gatebook.register(person.user_id, SECRET)
        with pytest.raises(UnacceptableSecret, match="unacceptable_secret"):
            gatebook.register(new_name(), "password1")
        with pytest.raises(InvalidCredentials):
            gatebook.authenticate(person.user_key, "another one, surely")
        with pytest.raises(InvalidRequest) as raised:
            gatebook.register("", SECRET)
    assert raised.value.problem.errors[0].pointer == "/user_id"
    assert raised.value.problem.request_id
    with as_person(service, person) as mine:
        with pytest.raises(InsufficientPermission) as missing:
            next(mine.users())
        with pytest.raises(NotFound):
            mine.end_session("0" * 22)
    assert missing.value.problem.permission == "users:read"


def test_every_problem_of_the_service_has_an_error() -> None:
    later = {"too_many_attempts", "overloaded", "unavailable"}
    of_requests = {"method_not_allowed", "too_large", "unsupported_media_type", "internal_error"}
    assert set(PROBLEMS) - later - of_requests == set(BY_CODE)
    drawn = errors.__doc__ or ""
    kinds = [each for each in vars(errors).values() if inspect.isclass(each)]
    ours = [each for each in kinds if issubclass(each, errors.GatebookError)]
    assert [each.__name__ for each in ours if each.__name__ not in drawn] == []
    assert {each.__name__ for each in ours} <= set(gatebook_client.__all__)


def test_what_answers_is_not_gatebook() -> None:
    for status, body in ((200, b"<html>"), (404, b"<html>"), (200, b'{"user_key": 7}')):
        transport = httpx.MockTransport(
            lambda _, status=status, body=body: httpx.Response(status, content=body)
        )
        with (
            Gatebook("https://elsewhere.test", transport=transport) as gatebook,
            pytest.raises(UnexpectedAnswer),
        ):
            gatebook.find_user_key("ada", SECRET)


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_a_registration_whose_answer_was_lost_is_found(service: Served, done: bool) -> None:
    transport = Losing("/register", done=done)
    with Gatebook(service.url, transport=transport) as gatebook:
        name = new_name()
        key = gatebook.register(name, SECRET)
        assert gatebook.find_user_key(name, SECRET) == key


def test_a_name_that_is_anothers_stays_so_when_an_answer_was_lost(
    service: Served, person: Person
) -> None:
    transport = Losing("/register", done=True)
    with (
        Gatebook(service.url, transport=transport) as gatebook,
        pytest.raises(UserIdTaken),
    ):
        gatebook.register(person.user_id, SECRET)


def test_what_must_not_be_done_twice_is_not_repeated(service: Served, person: Person) -> None:
    transport = Losing("/me/secret", done=True)
    auth = GatebookAuth(service.url, user_key=person.user_key, user_secret=person.secret)
    with Gatebook(auth=auth, transport=transport) as gatebook:
        with pytest.raises(ServiceUnavailable):
            gatebook.change_secret(person.secret, SECRET)
        with pytest.raises(InvalidCredentials):
            gatebook.change_secret(person.secret, SECRET)
        assert gatebook.authenticate(person.user_key, SECRET).session_id


def test_one_sees_and_ends_ones_own_sessions(service: Served, person: Person) -> None:
    others = [service.tokens(person) for _ in range(2)]
    with as_person(service, person) as mine:
        assert mine.me().user_id == person.user_id
        sessions = list(mine.sessions())
        assert len(sessions) == 3
        assert sum(each.current for each in sessions) == 1
        mine.end_session(others[0]["refresh_token"][4:26])
        mine.end_sessions(keep_current=True)
        assert [each.current for each in mine.sessions()] == [True]
        assert "user.registered" in [each.type for each in mine.my_events()]
        assert next(mine.my_events(order="asc")).type == "user.registered"


def test_administrators_manage_users(service: Served, admin: Gatebook, person: Person) -> None:
    key = admin.create_user(new_name(), SECRET)
    assert key in {each.user_key for each in admin.users()}
    found = admin.find_user(person.user_id.upper())
    assert found is not None
    assert found.user_key == person.user_key
    assert admin.find_user("nobody at all") is None
    assert admin.set_permissions(key, ["orders:read"]).permissions == ["orders:read"]
    assert admin.user(key, at=datetime.now(UTC)).permissions == ["orders:read"]
    with pytest.raises(ConfigurationError, match="offset"):
        admin.user(key, at=datetime.now())  # noqa: DTZ005 - that is what is refused
    admin.set_secret(key, "another umbrella")
    tokens = admin.authenticate(key, "another umbrella")
    assert admin.introspect(tokens.access_token).active
    assert len(list(admin.sessions_of(key))) == 1
    admin.end_sessions_of(key)
    assert not admin.introspect(tokens.access_token).active
    assert admin.disable(key).status == "disabled"
    assert admin.enable(key).status == "active"
    admin.erase_user(key)
    assert admin.user(key).status == "erased"


def test_administrators_see_projections_and_keys(admin: Gatebook) -> None:
    assert {each.state for each in admin.projections()} <= {"live", "building", "stalled"}
    before = {each.kid for each in admin.signing_keys()}
    assert before < {each.kid for each in admin.rotate_keys()}
    assert before < {each.kid for each in admin.rotate_keys()}
    with pytest.raises(NotFound):
        admin.rebuild("no_such_view")


def test_one_may_erase_oneself(service: Served, person: Person) -> None:
    with as_person(service, person) as mine:
        mine.erase_me(person.secret)
    with pytest.raises(InvalidCredentials), Gatebook(service.url) as gatebook:
        gatebook.authenticate(person.user_key, person.secret)


def test_events_are_read_from_where_one_was(service: Served, admin: Gatebook) -> None:
    person = service.person()
    events = list(admin.events(user_key=person.user_key))
    service.tokens(person)
    newer = list(admin.events(user_key=person.user_key, after=events[-1].place))
    assert [each.type for each in events] == ["user.registered"]
    assert [each.type for each in newer] == ["user.logged_in", "refresh_token.issued"]
    assert list(admin.events(type="user.registered", since=newer[0].time)) == []
    with pytest.raises(LogChanged):
        next(admin.events(after=f"{'0' * 22}:1"))


def test_events_are_followed_and_gone_on_with(service: Served, admin: Gatebook) -> None:
    person = service.person()
    registered = next(admin.events(user_key=person.user_key)).place
    following = admin.follow_events(user_key=person.user_key, after=registered)
    service.tokens(person)
    found = [next(following) for _ in range(2)]
    assert [each.type for each in found] == ["user.logged_in", "refresh_token.issued"]
    again = admin.follow_events(user_key=person.user_key, after=found[0].place)
    assert next(again) == found[1]
    following.close()  # type: ignore[attr-defined]
    again.close()  # type: ignore[attr-defined]


def test_tasks_have_the_same_calls(service: Served, person: Person) -> None:
    def told(kind: type) -> dict[str, str]:
        calls = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
        return {
            name: f"{inspect.signature(call)}".partition(" -> ")[0]
            for name, call in calls.items()
            if callable(call)
        }

    assert told(Gatebook) == told(AsyncGatebook)
    for name in told(Gatebook):
        assert getattr(Gatebook, name).__doc__ == getattr(AsyncGatebook, name).__doc__

    async def use() -> None:
        name = new_name()
        async with AsyncGatebook(service.url) as anybody:
            key = await anybody.register(name, SECRET)
            assert await anybody.find_user_key(name, SECRET) == key
        auth = GatebookAuth(service.url, user_key=key, user_secret=SECRET)
        async with AsyncGatebook(auth=auth) as mine:
            assert (await mine.me()).user_id == name
            assert [each.current async for each in mine.sessions()] == [True]
            assert [each async for each in mine.my_events()]
            with pytest.raises(InsufficientPermission):
                await mine.signing_keys()
            with pytest.raises(InsufficientPermission):
                await anext(mine.follow_events())

    asyncio.run(use())


def test_tasks_follow_events(service: Served) -> None:
    boss, person = service.person("events:read"), service.person()

    async def use() -> list[str]:
        auth = GatebookAuth(service.url, user_key=boss.user_key, user_secret=boss.secret)
        async with AsyncGatebook(auth=auth) as gatebook:
            following: Any = gatebook.follow_events(user_key=person.user_key)
            first = asyncio.create_task(anext(following))
            while not first.done():  # it begins when it is asked for, somewhen from here on
                await asyncio.to_thread(service.tokens, person)
                await asyncio.wait([first], timeout=1)
            found = [(await first).type, (await anext(following)).type]
            await following.aclose()
            return found

    assert asyncio.run(use()) == ["user.logged_in", "refresh_token.issued"]


EVENT = (
    b'{"position":%d,"stream":"s","version":1,"time":"2026-01-01T00:00:00Z","type":"t",'
    b'"schema":1,"user_key":null,"actor":"cli","request_id":"","ip":null,"user_agent":null,'
    b'"erased":false,"data":{}}'
)


def test_a_stream_that_breaks_is_resumed_where_it_was() -> None:
    """Nothing is missed, and nothing told twice."""
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 2:
            raise httpx.ConnectError("away", request=request)
        place = len(asked)
        told = b"event: event\nid: L:%d\ndata: %s\n\n" % (place, EVENT % place)
        return httpx.Response(200, content=b": ping\n\n" + told + b"event: event\nid: L:9\n")

    issuer = FakeIssuer()
    with Gatebook(auth=issuer.auth(), transport=httpx.MockTransport(answer)) as gatebook:
        following = gatebook.follow_events(after="L:0")
        assert [next(following).place for _ in range(2)] == ["L:1", "L:3"]
    assert asked == ["L:0", "L:1", "L:1"]


class Quiet(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A stream that says nothing but that it is there, for an hour, and breaks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        yield b": ping\n\n"
        self._clock.ahead += 3600
        raise httpx.ReadError("broken")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self:
            yield each


class Clock:
    """The monotonic one, and some seconds more."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._monotonic = time.monotonic

    def __call__(self) -> float:
        return self._monotonic() + self.ahead


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> httpx.MockTransport:
    """Breaks after an hour without an event, isn't there once, and has an event then."""
    asked: list[str] = []
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["last-event-id"])
        if len(asked) == 1:
            return httpx.Response(200, stream=Quiet(clock))
        if len(asked) == 2:
            return httpx.Response(503)
        return httpx.Response(200, content=b"event: event\nid: L:1\ndata: %s\n\n" % (EVENT % 1))

    return httpx.MockTransport(answer)


def test_a_stream_that_breaks_after_a_quiet_time_is_resumed(quiet: httpx.MockTransport) -> None:
    with Gatebook(auth=FakeIssuer().auth(), transport=quiet) as gatebook:
        assert next(gatebook.follow_events(after="L:0")).place == "L:1"


def test_tasks_resume_one_that_breaks_after_a_quiet_time(quiet: httpx.MockTransport) -> None:
    async def use() -> str:
        async with AsyncGatebook(auth=FakeIssuer().auth(), transport=quiet) as gatebook:
            following: Any = gatebook.follow_events(after="L:0")
            found = await anext(following)
            await following.aclose()
            return str(found.place)

    assert asyncio.run(use()) == "L:1"


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> tuple[httpx.MockTransport, list[float]]:
    """Each stream ends as soon as it was opened; and how long was waited in between."""
    clock, waited = Clock(), list[float]()
    monkeypatch.setattr(time, "monotonic", clock)

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.ahead += seconds

    async def sleep_soon(seconds: float) -> None:
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr("gatebook_client.asking.anyio.sleep", sleep_soon)
    return httpx.MockTransport(lambda _: httpx.Response(200, content=b"")), waited


def test_a_stream_that_ends_at_once_is_given_up_after_a_while(
    ending: tuple[httpx.MockTransport, list[float]],
) -> None:
    transport, waited = ending
    auth = FakeIssuer().auth()
    auth.access_token()
    with (
        Gatebook(auth=auth, transport=transport, patience=20) as gatebook,
        pytest.raises(ServiceUnavailable, match="ended"),
    ):
        next(gatebook.follow_events(after="L:0"))
    assert waited[-1] >= 1.0 > waited[0]
    assert sum(waited) <= 20
    waited.clear()

    async def use() -> None:
        async with AsyncGatebook(auth=auth, transport=transport, patience=20) as gatebook:
            with pytest.raises(ServiceUnavailable, match="ended"):
                await anext(gatebook.follow_events(after="L:0"))

    asyncio.run(use())
    assert waited[-1] >= 1.0 > waited[0]


def test_what_was_closed_says_so() -> None:
    auth = FakeIssuer().auth()
    gatebook = Gatebook(auth=auth)
    gatebook.close()
    with pytest.raises(ConfigurationError, match="was closed"):
        gatebook.version()
    with pytest.raises(ConfigurationError, match="was closed"):
        next(gatebook.follow_events(after="L:0"))

    async def use() -> None:
        async with AsyncGatebook(auth=auth) as closed:
            pass
        with pytest.raises(ConfigurationError, match="was closed"):
            await closed.version()
        with pytest.raises(ConfigurationError, match="was closed"):
            await anext(closed.follow_events(after="L:0"))

    asyncio.run(use())


def test_an_erasure_says_whether_it_is_finished() -> None:
    issuer = FakeIssuer()
    for status, body, finished in ((204, b"", True), (202, b"{}", False)):
        transport = httpx.MockTransport(
            lambda _, status=status, body=body: httpx.Response(status, content=body)
        )
        with Gatebook(auth=issuer.auth(), transport=transport) as gatebook:
            assert gatebook.erase_me(SECRET) is finished
            assert gatebook.erase_user("uk_x") is finished
