"""Keycloak CVE-2026-9802 (#49426): after a restart a rotated refresh token is good again.

What was rotated before the start of the process was not checked, so that waiting for a restart
was enough to replay a stolen token. Here the log says which generation is current, for every
process: a restart, a kill, another process and a snapshot know as much as whoever rotated.
"""

from __future__ import annotations

import pytest

from app.eventstore import snapshot
from tests.advisories.steps import (
    client_of,
    expect_dead,
    expect_reason,
    family,
    rotate,
    rotated,
)
from tests.http.steps import authenticate, refresh, register
from tests.running import running, running_all, settings


@pytest.mark.parametrize("pause", [0, 5, 3600])
def test_a_rotated_token_is_reuse_after_a_restart(start, clock, stored, pause) -> None:
    api = start()
    tokens = family(api, authenticate(api, register(api))["refresh_token"], 3)
    start.stop()
    clock.shift(pause)
    api = start()
    expect_reason(rotate(api, tokens[0]), "reused")
    for token in tokens:
        expect_dead(api, token, "reused")
    assert stored()[-2:] == ["refresh_token.reuse_detected", "refresh_token.revoked"]


def test_a_restart_doesnt_open_the_window_again(start, clock) -> None:
    """The successor was used: that is remembered too, and so is when the rotation was."""
    api = start()
    first, second = family(api, authenticate(api, register(api))["refresh_token"], 2)
    assert refresh(api, second).status_code == 200
    clock.shift(5)
    start.stop()
    api = start()
    expect_dead(api, first, "retired")
    assert refresh(api, second).status_code == 200
    clock.shift(5.1)
    start.stop()
    expect_reason(refresh(start(), first), "reused")


def test_the_current_token_goes_on_after_a_restart(start) -> None:
    api = start()
    token = authenticate(api, register(api))["refresh_token"]
    seen = {token}
    for _ in range(3):
        token = rotated(api, token)["refresh_token"]
        seen.add(token)
        start.stop()
        api = start()
    assert len(seen) == 4
    assert refresh(api, token).status_code == 200


def test_a_snapshot_knows_the_generation(start) -> None:
    """What was folded into a snapshot isn't read again."""
    api = start()
    user_key = register(api)
    tokens = family(api, authenticate(api, user_key)["refresh_token"], 3)
    family(api, authenticate(api, user_key)["refresh_token"], snapshot.EVERY)
    start.stop()
    api = start()
    tokens.append(rotated(api, tokens[-1])["refresh_token"])
    assert len(set(tokens)) == 4
    expect_reason(rotate(api, tokens[0]), "reused")
    for token in tokens:
        expect_dead(api, token, "reused")


def test_a_killed_server_forgets_no_rotation(database_url) -> None:
    """A real process, ended without a warning after its answer."""
    given = settings(database_url)
    with running(given) as server, client_of(server) as api:
        tokens = family(api, authenticate(api, register(api))["refresh_token"], 3)
    with running(given) as server, client_of(server) as api:
        expect_reason(rotate(api, tokens[0]), "reused")
    with running(given) as server, client_of(server) as api:
        for token in tokens:
            expect_dead(api, token, "reused")


def test_another_process_knows_every_rotation(postgres_url) -> None:
    """Two processes on one store, taking turns; each sees what the other did."""
    given = settings(postgres_url)
    with (
        running_all(given, given) as (one, other),
        client_of(one) as first,
        client_of(other) as second,
    ):
        tokens = [authenticate(first, register(first))["refresh_token"]]
        for api in (second, first, second, first):
            tokens.append(rotated(api, tokens[-1])["refresh_token"])
        assert len(set(tokens)) == 5
        expect_reason(rotate(second, tokens[-3]), "reused")
        for token in tokens:
            expect_dead(first, token, "reused")
            expect_dead(second, token, "reused")
