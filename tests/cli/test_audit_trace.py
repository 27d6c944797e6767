"""`gatebook audit trace` on each kind of store, and beside a service."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from app.store import open_store, storage_of
from app.tracing import TraceItem
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from domain.refresh_token import format_refresh_token
from tests.cli.conftest import PATIENCE_S, SECRET, Gatebook, items, serving
from tests.store.intruding import intrude
from tests.store.wishing import IP, log_in, register, rotate, session_id, user_key

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def tokens(database_url: str) -> list[str]:
    """Ada's first token, which was retired, and its successor."""
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    wishes = [register("ada", "Ada"), log_in("ada", "one"), rotate("ada", "one")]
    for answer in writer.commit(wishes):
        assert not isinstance(answer, Exception)
    key = store.ring.refresh
    store.storage.close()
    return [format_refresh_token(session_id("ada", "one"), each, key) for each in (1, 2)]


@pytest.mark.parametrize("end_of_line", ["", "\n", "\r\n"])
def test_a_token_on_stdin_is_traced(
    gatebook: Gatebook, tokens: list[str], end_of_line: str
) -> None:
    (item,) = items(gatebook("audit", "trace", "--json", stdin=tokens[0] + end_of_line))
    assert tuple(item) == TraceItem.__struct_fields__
    assert (item["user_key"], item["user_id"]) == (user_key("ada"), "Ada")
    assert (item["token"], item["session"], item["generation"]) == ("retired", "live", 1)
    (item,) = items(gatebook("audit", "trace", "--json", stdin=f" {tokens[1]} {end_of_line}"))
    assert (item["token"], item["generation"]) == ("current", 2)


def test_it_is_shown_for_people_without_the_token(gatebook: Gatebook, tokens: list[str]) -> None:
    """Security rule 19."""
    result = gatebook("audit", "trace", stdin=tokens[0])
    assert (result.exit_code, result.stderr) == (0, "")
    said = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert said[1:3] == ["user_id Ada", f"session_id {session_id('ada', 'one')}"]
    assert said[3].startswith("token retired, generation 1 of 2, retired at 20")
    assert said[4] == "session live"
    assert said[10].startswith("IP FIRST_AT")
    assert said[11].startswith(IP)
    assert [line.split()[2] for line in said[13:]] == [
        "user.logged_in",
        "refresh_token.issued",
        "refresh_token.rotated",
    ]
    for each in tokens:
        assert each not in result.output
        assert each[32:] not in gatebook("audit", "trace", "--json", stdin=each).output


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ("", "no refresh token"),
        ("{0}x", "no refresh token"),
        ("gbr_\xff", "no refresh token"),
        (format_refresh_token(session_id("ada", "one"), 1, bytes(32)), "not made by this service"),
    ],
)
def test_what_is_no_token_of_ours_is_not_found(
    gatebook: Gatebook, tokens: list[str], shown: str, why: str
) -> None:
    given = shown.format(*tokens).encode("latin-1")
    result = gatebook("audit", "trace", "--end", stdin=given)
    assert (result.exit_code, result.stdout) == (3, "")
    assert why in result.stderr


def test_a_token_is_no_argument(gatebook: Gatebook, tokens: list[str]) -> None:
    result = gatebook("audit", "trace", tokens[0])
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_retired_token_ends_its_session_once(gatebook: Gatebook, tokens: list[str]) -> None:
    result = gatebook("audit", "trace", "--end", "--json", stdin=tokens[0])
    (item,) = items(result)
    assert (item["token"], item["session"], item["ended_why"]) == ("retired", "ended", "admin")
    assert result.stderr == "This session of Ada is over.\n"
    last = item["events"][-1]
    assert (last["type"], last["actor"]) == ("refresh_token.revoked", "cli")
    again = gatebook("audit", "trace", "--end", "--json", stdin=tokens[1])
    assert again.stderr == "Nothing to change. This session of Ada is over.\n"
    assert items(again)[0]["events"] == item["events"]


def test_a_session_that_is_no_more_in_the_view_is_looked_for(
    gatebook: Gatebook, tokens: list[str], database_url: str
) -> None:
    (before,) = items(gatebook("audit", "trace", "--json", stdin=tokens[0]))
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM token_lookup_v1")
    assert items(gatebook("audit", "trace", "--json", stdin=tokens[0])) == [before]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_beside_a_service_a_trace_counts_as_no_use_and_an_end_at_once(
    gatebook: Gatebook, program: Callable[..., subprocess.Popen[str]], database_url: str
) -> None:
    """Security rule 16."""
    issuer = {"ISSUER": "http://127.0.0.1", "PORT": "0", "LOG_FORMAT": "json"}
    process = program("serve", **issuer)
    url, _ = serving(process)
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        body = {"user_id": "eve", "user_secret": SECRET}
        key = client.post("/register", json=body).json()["user_key"]
        login = client.post("/authenticate", json={"user_key": key, "user_secret": SECRET})
        token = login.json()["refresh_token"]
        rotated = client.post("/refresh", json={"refresh_token": token, "rotate": True})
        newest = rotated.json()["refresh_token"]
        for each in (token, newest, token):
            (item,) = items(gatebook("audit", "trace", "--json", stdin=each))
            assert [event["type"] for event in item["events"]] == [
                "user.logged_in",
                "refresh_token.issued",
                "refresh_token.rotated",
            ]
        assert client.post("/refresh", json={"refresh_token": newest}).status_code == 200
        items(gatebook("audit", "trace", "--json", "--end", stdin=token))
        refused = client.post("/refresh", json={"refresh_token": newest})
        assert (refused.status_code, refused.json()["reason"]) == (401, "revoked")
