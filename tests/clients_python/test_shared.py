"""Programs that share a session: the long proof of `tests.prove`, in its short form."""

from __future__ import annotations

import time

import httpx
import pytest

from gatebook_client.testing import FakeIssuer
from gatebook_client.tokens import read_times
from tests.faults.holding import holds
from tests.prove import client_python
from tests.prove.client_python_caller import Calls, judge


def test_processes_that_share_a_cache_rotate_one_token_without_reuse(sqlite_url: str) -> None:
    holds(client_python, sqlite_url)


@pytest.mark.parametrize(
    ("sent", "answered", "reason", "wrong"),
    [
        (-1.0, 0.5, "expired", False),
        (-1.0, -0.5, "expired", True),
        (0.1, 0.5, "expired", True),
        (-1.0, 0.5, "revoked", True),
    ],
)
def test_only_a_token_that_was_over_on_its_way_may_be_refused(
    sent: float, answered: float, reason: str, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, calls = FakeIssuer().token(), Calls()
    end = read_times(token).exp
    headers = {"Authorization": f"Bearer {token}"}
    request = httpx.Request("GET", "https://a.test", headers=headers)
    request.extensions["sent"] = end + sent
    monkeypatch.setattr(time, "time", lambda: end + answered)
    judge(httpx.Response(401, json={"reason": reason}, request=request), calls)
    assert (calls.wrong.total(), calls.over_on_the_way) == (int(wrong), int(not wrong))
