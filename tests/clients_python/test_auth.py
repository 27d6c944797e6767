"""Requests are authenticated, tokens renewed in time and once, whoever asks at the same moment."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import httpx2
import msgspec
import pytest
import requests

from gatebook_client import GatebookAuth, ReauthenticationRequired, ServiceUnavailable, Tokens
from gatebook_client.adapters.requests import RequestsAuth
from gatebook_client.testing import FakeIssuer
from gatebook_client.tokens import generation_of, session_of
from tests.clients_python.served import Person, Served, served

THREADS, TASKS = 30, 50
LEFT_S = 2 / 5 / 4
"""A token of two seconds is sent for the last time that long before it is over."""


def expire(auth: GatebookAuth) -> None:
    """What is held is over at this moment."""
    keeper = auth._keeper
    assert keeper._held is not None
    keeper._held = msgspec.structs.replace(keeper._held, old=0.0, over=0.0)


def spoil(auth: GatebookAuth) -> None:
    """What is held is none of the service's."""
    keeper = auth._keeper
    assert keeper._held is not None
    tokens = keeper._held.tokens
    spoilt = Tokens(tokens.access_token[:-6] + "AAAAAA", tokens.refresh_token)
    keeper._held = msgspec.structs.replace(keeper._held, tokens=spoilt)


def test_the_first_request_authenticates_and_the_next_ones_have_a_token(
    service: Served, auth: GatebookAuth, person: Person
) -> None:
    before = service.counted("/authenticate")
    with httpx.Client(base_url=service.url, auth=auth) as client:
        assert client.get("/me").json()["user_key"] == person.user_key
        assert client.get("/me").json()["user_key"] == person.user_key
    assert service.counted("/authenticate") == before + 1


def test_one_object_serves_httpx_and_httpx2_and_requests(
    service: Served, auth: GatebookAuth, person: Person
) -> None:
    before = service.counted("/authenticate")
    with httpx2.Client(base_url=service.url, auth=auth) as client:
        assert client.get("/me").json()["user_key"] == person.user_key
    with requests.Session() as session:
        session.auth = RequestsAuth(auth)
        assert session.get(f"{service.url}/me", timeout=10).json()["user_key"] == person.user_key

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=service.url, auth=auth) as one:
            assert (await one.get("/me")).status_code == 200
        async with httpx2.AsyncClient(base_url=service.url, auth=auth) as two:
            assert (await two.get("/me")).status_code == 200

    asyncio.run(ask())
    assert service.counted("/authenticate") == before + 1


def test_30_threads_and_50_tasks_at_the_moment_of_expiry_refresh_once(
    service: Served, auth: GatebookAuth
) -> None:
    auth.access_token()
    expire(auth)
    before = service.counted("/refresh"), service.counted("/authenticate")
    start = threading.Barrier(THREADS + 2)

    def ask() -> str:
        start.wait()
        return auth.access_token()

    def ask_in_a_loop() -> list[str]:
        async def every() -> list[str]:
            return await asyncio.gather(*(auth.async_access_token() for _ in range(TASKS // 2)))

        start.wait()
        return asyncio.run(every())

    with ThreadPoolExecutor(THREADS + 2) as pool:
        loops = [pool.submit(ask_in_a_loop) for _ in range(2)]
        threads = [pool.submit(ask) for _ in range(THREADS)]
        found = {each.result() for each in threads} | {
            token for loop in loops for token in loop.result()
        }
    assert len(found) == 1
    after = service.counted("/refresh"), service.counted("/authenticate")
    assert after == (before[0] + 1, before[1])


def test_a_refused_token_is_renewed_and_the_request_sent_once_more(
    service: Served, auth: GatebookAuth
) -> None:
    auth.access_token()
    for ask in (
        lambda: httpx.get(f"{service.url}/me", auth=auth),
        lambda: requests.get(f"{service.url}/me", auth=RequestsAuth(auth), timeout=10),
    ):
        spoil(auth)
        before = service.counted("/refresh"), service.counted("/me", 401)
        assert ask().status_code == 200
        assert (service.counted("/refresh"), service.counted("/me", 401)) == (
            before[0] + 1,
            before[1] + 1,
        )


def test_a_body_is_sent_again_with_its_request(service: Served, auth: GatebookAuth) -> None:
    auth.access_token()
    body = b'{"user_secret": "not the right one"}'
    for given in (body, io.BytesIO(body)):
        spoil(auth)
        answer = requests.post(
            f"{service.url}/me/erase",
            data=given,
            headers={"Content-Type": "application/json"},
            auth=RequestsAuth(auth),
            timeout=10,
        )
        assert answer.json()["code"] == "invalid_credentials"
    spoil(auth)
    answer2 = httpx.post(
        f"{service.url}/me/erase",
        content=body,
        headers={"Content-Type": "application/json"},
        auth=auth,
    )
    assert answer2.json()["code"] == "invalid_credentials"


def test_a_body_that_is_made_while_it_is_sent_is_not_sent_twice() -> None:
    issuer = FakeIssuer()
    auth = issuer.auth()
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.read())
        return refuse(request)

    with httpx.Client(transport=httpx.MockTransport(answer), auth=auth) as client:
        assert client.post("https://elsewhere.test/", content=iter([b"{}"])).status_code == 401
    assert sent == [b"{}"]
    assert issuer.requests[0] == "POST /authenticate"


def refuse(request: httpx.Request) -> httpx.Response:
    """What a service answers that takes no token."""
    request.read()
    return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def test_who_refuses_every_token_does_not_make_a_storm() -> None:
    issuer = FakeIssuer()
    auth = issuer.auth()

    with httpx.Client(transport=httpx.MockTransport(refuse), auth=auth) as client:
        for _ in range(100):
            assert client.get("https://elsewhere.test/").status_code == 401
    assert issuer.requests == ["POST /authenticate", "POST /refresh"]


def test_a_401_that_is_not_about_the_token_is_left_alone() -> None:
    issuer = FakeIssuer()
    auth = issuer.auth()
    with httpx.Client(
        transport=httpx.MockTransport(
            lambda _: httpx.Response(401, headers={"WWW-Authenticate": "Basic"})
        ),
        auth=auth,
    ) as client:
        assert client.get("https://elsewhere.test/").status_code == 401
    assert issuer.requests == ["POST /authenticate"]


def test_a_session_that_was_ended_is_begun_anew_where_the_secret_is_at_hand(
    service: Served, auth: GatebookAuth
) -> None:
    auth.access_token()
    assert auth.tokens is not None
    service.api.post("/revoke", json={"refresh_token": auth.tokens.refresh_token})
    first = auth.tokens.session_id
    assert httpx.get(f"{service.url}/me", auth=auth).status_code == 200
    assert auth.tokens.session_id != first


def test_without_a_secret_the_program_is_told_to_log_in(service: Served, person: Person) -> None:
    token = service.tokens(person)["refresh_token"]
    auth = GatebookAuth(service.url, refresh_token=token)
    assert httpx.get(f"{service.url}/me", auth=auth).status_code == 200
    service.api.post("/revoke", json={"refresh_token": token})
    before = service.counted("/refresh")
    for _ in range(20):
        with pytest.raises(ReauthenticationRequired) as raised:
            httpx.get(f"{service.url}/me", auth=auth)
        assert raised.value.problem is not None
        assert raised.value.problem.reason == "revoked"
    assert service.counted("/refresh") == before + 1


def test_a_wrong_secret_is_shown_once_and_not_in_a_loop(service: Served, person: Person) -> None:
    auth = GatebookAuth(service.url, user_key=person.user_key, user_secret="not this one at all")
    before = service.counted("/authenticate")
    for _ in range(20):
        with pytest.raises(ReauthenticationRequired) as raised:
            auth.access_token()
        assert raised.value.problem is not None
        assert raised.value.problem.code == "invalid_credentials"
    assert service.counted("/authenticate") == before + 1


def test_a_task_that_gives_up_takes_nothing_from_the_others(
    service: Served, auth: GatebookAuth
) -> None:
    async def every() -> str:
        impatient = asyncio.create_task(auth.async_access_token())
        patient = asyncio.create_task(auth.async_access_token())
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert asyncio.run(every()).count(".") == 2


def test_a_token_is_renewed_beside_the_work_before_it_is_over(brief: Served) -> None:
    """Four seconds of requests without a pause; each has a good token, and none waits for a 401.

    But for one that takes longer than its token was good for at least when it was sent.
    """
    person = brief.person()
    auth = GatebookAuth(brief.url, user_key=person.user_key, user_secret=person.secret)
    before = brief.counted("/me", 401)
    until, asked, refused = time.monotonic() + 4, 0, list[float]()

    def note_sent(request: httpx.Request) -> None:
        request.extensions["sent"] = time.monotonic()

    def note_refused(response: httpx.Response) -> None:
        if response.status_code == 401:
            refused.append(time.monotonic() - response.request.extensions["sent"])

    with httpx.Client(base_url=brief.url, auth=auth) as client:
        client.event_hooks = {"request": [note_sent], "response": [note_refused]}
        while time.monotonic() < until:
            assert client.get("/me").status_code == 200
            asked += 1
    assert asked > 4
    assert brief.counted("/me", 401) - before == len(refused)
    assert all(each > LEFT_S for each in refused), refused


@pytest.mark.parametrize("off", [3600.0, -3600.0])
def test_a_clock_that_is_an_hour_off_changes_nothing(
    service: Served, person: Person, off: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + off)
    before = service.counted("/refresh"), service.counted("/authenticate")
    for _ in range(3):  # each as another program, that finds what the one before has kept
        auth = GatebookAuth(
            service.url,
            user_key=person.user_key,
            user_secret=person.secret,
            cache=tmp_path / "c",
        )
        with httpx.Client(base_url=service.url, auth=auth) as client:
            for _ in range(10):
                assert client.get("/me").status_code == 200
    assert (service.counted("/refresh"), service.counted("/authenticate")) == (
        before[0],
        before[1] + 1,
    )


def test_calls_wait_for_a_service_that_is_away_and_nothing_is_lost(tmp_path: Path) -> None:
    """The service is stopped in its tracks for a while; who needs a token waits for it."""
    with served(tmp_path, REFRESH_ROTATION="always") as service:
        person = service.person()
        token = service.tokens(person)["refresh_token"]
        auth = GatebookAuth(service.url, refresh_token=token, cache=tmp_path / "c", timeout=0.5)
        auth.access_token()
        expire(auth)
        spoil_cache(tmp_path / "c")
        service.server.pause()
        timer = threading.Timer(2.0, service.server.go_on)
        timer.start()
        assert httpx.get(f"{service.url}/me", auth=auth, timeout=10).status_code == 200
        timer.join()
        assert auth.tokens is not None
        assert session_of(auth.tokens.refresh_token or "") == session_of(token)
        events = service.api.get(
            "/me/events", headers={"Authorization": f"Bearer {auth.access_token()}"}
        )
        assert "refresh_token.reuse_detected" not in events.text


def test_a_service_that_is_overloaded_is_waited_for(tmp_path: Path) -> None:
    """One hash at a time, each long: who would wait for more than two seconds is told 503."""
    slow = {"HASH_MEMORY_KIB": "19456", "HASH_TIME": "40", "HASH_THREADS": "1"}
    with served(tmp_path, **slow) as service:
        person = service.person()

        def authenticated(_: int) -> str:
            auth = GatebookAuth(
                service.url, user_key=person.user_key, user_secret=person.secret, patience=100.0
            )
            token = auth.access_token()
            auth.close()
            return token

        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(authenticated, range(6)))) == 6
        assert service.counted("/authenticate", 503) > 0


def spoil_cache(path: Path) -> None:
    """What is kept has no access token any more."""
    members = msgspec.json.decode(path.read_bytes())
    del members["tokens"]["access_token"]
    path.write_bytes(msgspec.json.encode(members))


def test_a_service_that_stays_away_is_said_to_be_so() -> None:
    issuer = FakeIssuer()
    auth = issuer.auth(patience=0.3)
    with issuer.away(), pytest.raises(ServiceUnavailable) as raised:
        auth.access_token()
    assert raised.value.problem is not None
    assert raised.value.problem.status == 503
    assert auth.access_token()


def test_retry_after_is_honoured_within_patience_and_raised_beyond() -> None:
    issuer = FakeIssuer()
    asked: list[float] = []
    said = iter(["1", None])

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        wait = next(said)
        if wait is not None:
            return httpx.Response(429, headers={"Retry-After": wait})
        return issuer.transport.handle_request(request)

    auth = issuer.auth(transport=httpx.MockTransport(answer))
    assert auth.access_token()
    assert asked[1] - asked[0] >= 1.0
    impatient = issuer.auth(
        transport=httpx.MockTransport(
            lambda _: httpx.Response(503, headers={"Retry-After": "3600"})
        )
    )
    with pytest.raises(ServiceUnavailable) as raised:
        impatient.access_token()
    assert raised.value.retry_after == 3600


def test_no_token_and_no_secret_is_shown_anywhere(
    service: Served, auth: GatebookAuth, person: Person, caplog: pytest.LogCaptureFixture
) -> None:
    """Security rule 19, at the client's side."""
    caplog.set_level(logging.DEBUG)
    auth.access_token()
    spoil(auth)
    assert httpx.get(f"{service.url}/me", auth=auth).status_code == 200
    held = auth.tokens
    assert held is not None
    secrets = (held.access_token, held.refresh_token or "?", person.secret)
    keeper = auth._keeper
    shown = [
        *(repr(each) for each in (auth, held, keeper, keeper._held, keeper._credentials)),
        *(str(each) for each in (auth, held)),
        *(f"{vars(each)}" for each in (keeper, keeper._shared)),
        caplog.text,
    ]
    for text in shown:
        assert not [each for each in secrets if each in text], text


def test_a_rotated_token_is_kept_before_it_is_used(brief: Served, tmp_path: Path) -> None:
    person = brief.person()
    token = brief.tokens(person)["refresh_token"]
    path = tmp_path / "tokens.json"
    GatebookAuth(brief.url, refresh_token=token, cache=path).access_token()
    kept = msgspec.json.decode(path.read_bytes())["tokens"]
    assert generation_of(kept["refresh_token"]) == 2
    assert path.stat().st_mode & 0o777 == 0o600
    # Another program with the same credentials goes on from there.
    again = GatebookAuth(brief.url, refresh_token=token, cache=path)
    spoil_cache(path)
    again.access_token()
    assert again.tokens is not None
    assert generation_of(again.tokens.refresh_token or "") == 3


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_token(
    brief: Served, tmp_path: Path
) -> None:
    """The first answer to the rotation never arrives; the successor is the same one then."""
    person = brief.person()
    token = brief.tokens(person)["refresh_token"]
    lost: list[str] = []

    class Losing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            if not lost:
                lost.append(answer.read().decode())
                raise httpx.ReadError("lost", request=request)
            return answer

    auth = GatebookAuth(brief.url, refresh_token=token, cache=tmp_path / "c", transport=Losing())
    auth.access_token()
    assert auth.tokens is not None
    assert (auth.tokens.refresh_token or "?") in lost[0]
    auth.close()


def test_a_token_of_another_kind_is_refused_before_it_is_shown() -> None:
    """Security rule 14, at the client's side."""
    with pytest.raises(ValueError, match="none of Gatebook's"):
        GatebookAuth("https://auth.example", refresh_token="eyJhbGciOi.e30.x")
    with pytest.raises(ValueError, match="unencrypted"):
        GatebookAuth("http://auth.example", user_key="uk_x", user_secret="y")
    with pytest.raises(ValueError, match="user or a password"):
        GatebookAuth("https://a:b@auth.example", user_key="uk_x", user_secret="y")
    with pytest.raises(ValueError, match="or a refresh_token"):
        GatebookAuth("https://auth.example", user_key="uk_x")


def test_tokens_can_be_sent_to_another_process() -> None:
    tokens = Tokens("a.b.c", "d")
    assert pickle.loads(pickle.dumps(tokens)) == tokens  # noqa: S301 - its own
