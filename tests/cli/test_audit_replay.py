"""`gatebook audit replay` on each kind of store."""

from __future__ import annotations

import pytest

from app.replay import Change, SessionState, StateItem, Step
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.cli.conftest import Gatebook, items
from tests.store.wishing import HASH, log_in, permit, register, rotate, session_id, user_key


@pytest.fixture(autouse=True)
def log(database_url: str) -> None:
    """Ada logs in, rotates, and is given something."""
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    wishes = [register("ada", "Ada"), log_in("ada", "one"), rotate("ada", "one")]
    for answer in writer.commit([*wishes, permit("ada", "a", "b")]):
        assert not isinstance(answer, Exception)
    store.storage.close()


def test_the_state_now_and_then(gatebook: Gatebook) -> None:
    (now,) = items(gatebook("audit", "replay", "ADA", "--json"))
    assert tuple(now) == StateItem.__struct_fields__
    assert [tuple(each) for each in now["sessions"]] == [SessionState.__struct_fields__]
    assert (now["user_id"], now["permissions"], now["position"]) == ("Ada", ["a", "b"], 8)
    assert (now["live_sessions"], now["sessions"][0]["generation"]) == (1, 2)
    (then,) = items(gatebook("audit", "replay", user_key("ada"), "--position", "6", "--json"))
    assert (then["permissions"], then["position"]) == ([], 6)
    assert then["sessions"][0]["generation"] == 1
    (at,) = items(gatebook("audit", "replay", "Ada", "--at", then["time"], "--json"))
    assert at == then


def test_it_is_shown_for_people(gatebook: Gatebook) -> None:
    result = gatebook("audit", "replay", "ada")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[1].split() == ["user_id", "Ada"]
    assert lines[3].split() == ["permissions", "a", "b"]
    assert lines[-2].startswith("SESSION_ID")
    row = lines[-1].split()
    assert (row[0], row[1], row[-1]) == (session_id("ada", "one"), "user", "2")
    early = gatebook("audit", "replay", "ada", "--position", "4").stdout
    assert "SESSION_ID" not in early
    # Between the login and its token the session has no life yet.
    between = gatebook("audit", "replay", "ada", "--position", "5").stdout
    assert between.splitlines()[-1].endswith("1 (run out)")


def test_steps_tell_what_each_event_changed(gatebook: Gatebook) -> None:
    *steps, state = items(gatebook("audit", "replay", "ada", "--steps", "--json"))
    assert {tuple(step) for step in steps} == {Step.__struct_fields__}
    assert {tuple(each) for step in steps for each in step["changes"]} == {Change.__struct_fields__}
    assert [step["position"] for step in steps] == [4, 5, 6, 7, 8]
    assert state["sessions"][0]["generation"] == 2
    text = gatebook("audit", "replay", "ada", "--steps").stdout
    assert f"sessions.{session_id('ada', 'one')}.generation: 1 -> 2" in text
    assert "        permissions: - -> a b" in text.splitlines()
    assert "        user_id: - -> Ada" in text.splitlines()
    for said in (text, gatebook("audit", "replay", "ada", "--steps", "--json").stdout):
        assert HASH not in said
        assert "argon2" not in said


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (("nobody",), 3, "no user"),
        (("ada", "--position", "3"), 3, "not registered yet"),
        (("ada", "--at", "2020-01-01"), 3, "not registered yet"),
        (("ada", "--at", "2999-01-01"), 2, "hasn't come yet"),
        (("ada", "--at", "noon"), 2, "2026-11-23T17:08:32Z"),
        (("ada", "--position", "0"), 2, "--position"),
        (("ada", "--position", "9"), 1, "ends at position 8"),
        (("ada", "--position", "8", "--at", "2026-01-01"), 2, "not both"),
    ],
)
def test_a_wrong_choice_is_told(
    gatebook: Gatebook, args: tuple[str, ...], code: int, why: str
) -> None:
    result = gatebook("audit", "replay", *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert why in result.stderr
    assert "parameter" not in result.stderr
