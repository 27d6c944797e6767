"""A process may be forked at any moment: what was made before goes on in both."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gatebook_client import GatebookAuth, Verifier, forks
from gatebook_client.service import Asked, Service
from gatebook_client.testing import FakeIssuer
from tests.clients_python.forking import forked
from tests.clients_python.test_auth import expire

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture
def served() -> Iterator[FakeIssuer]:
    issuer = FakeIssuer(rotate=True)
    with issuer.serve():
        yield issuer


def session_after(auth: GatebookAuth) -> str:
    """Of the token that is used once this one is over."""
    expire(auth)
    auth.access_token()
    assert auth.tokens is not None
    return auth.tokens.session_id


def test_a_verifier_that_was_started_goes_on_in_a_forked_process(served: FakeIssuer) -> None:
    """Forked while its threads make their connections, and when they have made them."""
    token = served.token()
    for begin in (Verifier.start, Verifier.state, lambda each: each.verify(token)):
        verifier = served.verifier(transport=None)
        begin(verifier)
        caller = forked(lambda: verifier.verify(token).user_key)  # noqa: B023 - called here
        assert caller == verifier.verify(token).user_key
        verifier.close()


def test_every_lock_of_a_verifier_is_another_one_in_a_forked_process(served: FakeIssuer) -> None:
    verifier, token = served.verifier(transport=None), served.token()
    verifier.verify(token)
    feed, keys = verifier._feed, verifier._keys
    assert feed is not None
    held = threading.Event()
    over = threading.Event()

    def hold() -> None:
        with feed._lock, feed._heard, feed.first._condition, keys._lock, keys._flight._lock:
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def use() -> str:
        keys.drop()
        return verifier.verify(token).user_key

    try:
        assert forked(use).startswith("uk_")
    finally:
        over.set()
        thread.join()
        verifier.close()


def test_what_was_closed_before_a_fork_is_closed_after_it(served: FakeIssuer) -> None:
    service = Service(served.issuer)
    service.close()
    assert "It was closed" in forked(lambda: str(service.ask(Asked("GET", "/"))))


def test_a_fork_waits_for_a_client_that_is_being_made(
    served: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its TLS context takes locks that a forked process could not make anew."""
    making, make, made = threading.Event(), threading.Event(), threading.Event()
    real = httpx.Client

    def slow(**given: Any) -> httpx.Client:
        making.set()
        make.wait()
        client = real(**given)
        made.set()
        return client

    monkeypatch.setattr("gatebook_client.service.httpx.Client", slow)
    monkeypatch.setattr(forks, "_LONGEST", 60.0)
    service = Service(served.issuer)
    thread = threading.Thread(target=service.client)
    thread.start()
    making.wait()
    go_on = threading.Timer(0.05, make.set)
    go_on.start()
    assert forked(lambda: str(made.is_set())) == "True"
    thread.join()
    go_on.join()
    service.close()


def test_a_fork_waits_for_a_thread_that_ends(
    served: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[set[threading.Thread]] = []

    def is_gone(_: threading.Thread) -> bool:
        waited.append(set(forks._ending))
        return True

    monkeypatch.setattr(forks, "_is_gone", is_gone)
    auth = served.auth(transport=None)
    auth.access_token()
    assert forked(lambda: str(len(forks._ending))) == "0"
    assert {each.name for each in waited[-1]} == {"gatebook renewal"}


def test_a_token_is_renewed_in_a_process_that_is_forked_at_once(served: FakeIssuer) -> None:
    for _ in range(5):
        auth = served.auth(served.user(f"user{len(served._users)}"), transport=None)
        first = auth.access_token()
        expire(auth)
        assert forked(auth.access_token) not in {first, "it hangs"}


def test_a_forked_process_begins_a_session_of_its_own_where_none_is_shared(
    served: FakeIssuer,
) -> None:
    user = served.user()
    for given in ({}, {"refresh_token": token_of(served, user)}):
        auth = served.auth(user, transport=None, **given)
        token = auth.access_token()
        assert auth.tokens is not None
        assert forked(auth.access_token) == token  # it is as good there
        sessions = {forked(lambda: session_after(auth)) for _ in range(2)}  # noqa: B023
        assert len(sessions) == 2
        assert session_after(auth) == auth.tokens.session_id
        assert auth.tokens.session_id not in sessions


def token_of(issuer: FakeIssuer, user: Any) -> str:
    """A refresh token of a new session."""
    begun = issuer.auth(user)
    begun.access_token()
    assert begun.tokens is not None
    return begun.tokens.refresh_token or ""


def test_forked_processes_that_share_a_cache_share_a_session(
    served: FakeIssuer, tmp_path: Path
) -> None:
    auth = served.auth(transport=None, cache=tmp_path / "c.json")
    auth.access_token()
    assert auth.tokens is not None
    session = auth.tokens.session_id

    def renewed() -> str:
        (tmp_path / "c.json").touch()
        return session_after(auth)

    assert {forked(renewed) for _ in range(2)} == {session}
