"""auth-js #213: two tabs refresh at once with the token that they share, and log each other out.

The second was taken for reuse of what the first had just rotated. Here both get the same
successor, and a tab that comes late, after the successor was used, is refused without harm.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.advisories.steps import Assembled, at_once, client_of, expect_dead, rotated
from tests.http.steps import authenticate, me, refresh, register
from tests.running import running_all, settings


@pytest.mark.parametrize("tabs", [2, 3, 64])
def test_tabs_that_rotate_at_once_get_one_successor(start, stored, tabs) -> None:
    api = start()
    token = authenticate(api, register(api))["refresh_token"]
    before = len(stored())
    use_cases: Any = start.service.refresh_tokens
    use_cases._dispatcher = Assembled(start.service.dispatcher, tabs)
    answers = at_once(api, [("/refresh", {"refresh_token": token, "rotate": True})] * tabs)
    assert [answer.status_code for answer in answers] == [200] * tabs
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    assert successor != token
    assert stored()[before:] == ["refresh_token.rotated"]
    for answer in answers:
        assert me(api, answer.json()["access_token"]).status_code == 200
    answers = at_once(api, [("/refresh", {"refresh_token": successor})] * tabs)
    assert [answer.status_code for answer in answers] == [200] * tabs


def test_a_tab_that_comes_late_logs_nobody_out(api, clock, stored) -> None:
    """Its request was on the way while the other tab went on with the successor."""
    token = authenticate(api, register(api))["refresh_token"]
    successor = rotated(api, token)["refresh_token"]
    assert refresh(api, successor).status_code == 200
    clock.shift(9.9)
    expect_dead(api, token, "retired")
    assert "refresh_token.reuse_detected" not in stored()
    third = rotated(api, successor)["refresh_token"]
    clock.shift(59)
    assert rotated(api, successor)["refresh_token"] == third  # the late tab reads what is shared


def test_tabs_that_meet_different_processes_get_one_successor(postgres_url) -> None:
    tabs = 16
    given = settings(postgres_url)
    with (
        running_all(given, given) as (one, other),
        client_of(one) as first,
        client_of(other) as second,
        ThreadPoolExecutor(tabs) as threads,
    ):
        token = authenticate(first, register(first))["refresh_token"]
        for _ in range(4):
            apis = [first, second] * (tabs // 2)
            answers = list(threads.map(rotated, apis, [token] * tabs))
            (successor,) = {answer["refresh_token"] for answer in answers}
            assert successor != token
            token = successor
        assert refresh(second, token).status_code == 200
