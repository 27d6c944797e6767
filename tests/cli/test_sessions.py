"""`gatebook sessions`, and what `gatebook users` does to sessions, on each kind of store."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from app.session_list import SessionItem
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.cli.conftest import SECRET, Gatebook, items, serving
from tests.store.wishing import IP, USER_AGENT, end, log_in, register, session_id, user_key

if TYPE_CHECKING:
    from click.testing import Result

    from app.writer import Wish

OTHER = "another canary-secret"


@pytest.fixture
def stored(database_url: str) -> Callable[..., None]:
    """Stores wishes, as a service did before."""

    def store(*wishes: Wish) -> None:
        opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
        writer = Writer(opened.log, opened.vault, opened.ring, Policy())
        for answer in writer.commit(list(wishes)):
            assert not isinstance(answer, Exception)
        opened.storage.close()

    return store


@pytest.fixture
def ada(stored: Callable[..., None]) -> str:
    """Logged in twice; bob once."""
    wishes = [log_in("ada", "one"), log_in("bob", "his"), log_in("ada", "two")]
    stored(register("ada", "Ada"), register("bob"), *wishes)
    return user_key("ada")


def told(result: Result) -> tuple[int, str, str]:
    return result.exit_code, result.stdout, result.stderr


def live(gatebook: Gatebook, user: str) -> list[str]:
    return [item["session_id"] for item in items(gatebook("sessions", "list", user, "--json"))]


def ends(gatebook: Gatebook) -> list[tuple[str, str]]:
    """Who ended a session, and why, in the order of the log."""
    found = items(gatebook("audit", "log", "--type", "refresh_token.revoked", "--json"))
    return [(item["actor"], item["data"]["why"]) for item in found]


def test_the_sessions_of_a_user_are_listed_in_order(gatebook: Gatebook, ada: str) -> None:
    listed = items(gatebook("sessions", "list", "ADA", "--json"))
    assert [tuple(item) for item in listed] == [SessionItem.__struct_fields__] * 2
    assert [item["session_id"] for item in listed] == [
        session_id("ada", "one"),
        session_id("ada", "two"),
    ]
    assert {(item["ip"], item["user_agent"], item["kind"]) for item in listed} == {
        (IP, USER_AGENT, "user")
    }
    header, *rows = gatebook("sessions", "list", ada).stdout.splitlines()
    assert header.startswith("SESSION_ID")
    assert [row.split()[0] for row in rows] == [item["session_id"] for item in listed]
    assert all(row.endswith(f"{IP}     {USER_AGENT}") for row in rows)


def test_a_session_is_ended_once(gatebook: Gatebook, ada: str) -> None:
    one = session_id("ada", "one")
    over = "This session of Ada is over.\n"
    assert told(gatebook("sessions", "end", one)) == (0, "", over)
    assert told(gatebook("sessions", "end", one)) == (0, "", f"Nothing to change. {over}")
    assert live(gatebook, ada) == [session_id("ada", "two")]
    assert ends(gatebook) == [("cli", "admin")]


def test_a_session_that_isn_t_there_is_not_found(gatebook: Gatebook, ada: str) -> None:
    for session in ("x", "0" * 22, ada, "", "\x1b[2J"):
        result = gatebook("sessions", "end", session)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "no session of this id" in result.stderr
    assert ends(gatebook) == []


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("token", ["gbr_" + 77 * "a", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"])
def test_a_token_is_no_argument_and_is_not_repeated(gatebook: Gatebook, token: str) -> None:
    result = gatebook("sessions", "end", token)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "session_id" in result.stderr
    assert token[:20] not in result.stderr


def test_all_sessions_of_one_user_are_ended(gatebook: Gatebook, ada: str) -> None:
    for count in (2, 0):
        assert told(gatebook("sessions", "end-all", "ada")) == (
            0,
            "",
            f"Ada is logged in nowhere. Sessions ended: {count}.\n",
        )
    assert live(gatebook, ada) == []
    assert live(gatebook, "bob") == [session_id("bob", "his")]
    assert ends(gatebook) == [("cli", "admin")] * 2


def test_a_long_list_is_read_page_by_page(
    gatebook: Gatebook, monkeypatch: pytest.MonkeyPatch, stored: Callable[..., None]
) -> None:
    stored(register("ada"))
    stored(*(log_in("ada", str(each)) for each in range(5)))
    stored(end("ada", "2"))
    monkeypatch.setattr("app.cli.sessions.PAGE", 2)
    wanted = [session_id("ada", each) for each in "0134"]
    assert live(gatebook, "ada") == wanted
    _, *rows = gatebook("sessions", "list", "ada").stdout.splitlines()
    assert [row.split()[0] for row in rows] == wanted


@pytest.mark.usefixtures("ada")
def test_who_is_disabled_has_no_session_until_enabled(gatebook: Gatebook) -> None:
    for command, said in [
        ("disable", "Ada is disabled. Sessions ended: 2."),
        ("disable", "Nothing to change. Ada is disabled."),
        ("enable", "Ada is enabled."),
        ("enable", "Nothing to change. Ada is enabled."),
    ]:
        assert told(gatebook("users", command, "ada")) == (0, "", f"{said}\n")
        status = "disabled" if command == "disable" else "active"
        shown, *_ = items(gatebook("users", "show", "ada", "--json"))
        listed, *_ = items(gatebook("users", "list", "--json"))
        assert listed == shown
        assert (shown["status"], shown["live_sessions"]) == (status, 0)
        assert gatebook("users", "list").stdout.splitlines()[1].split()[1] == status
    assert ends(gatebook) == [("cli", "disabled")] * 2
    written = items(gatebook("audit", "log", "--user", "ada", "--json"))
    assert [item["type"] for item in written if item["actor"] == "cli"] == [
        "user.disabled",
        "refresh_token.revoked",
        "refresh_token.revoked",
        "user.enabled",
    ]


@pytest.mark.usefixtures("ada")
def test_a_new_secret_ends_all_sessions(gatebook: Gatebook) -> None:
    for said, user in [
        ("Ada has a new secret. Sessions ended: 2.", "ada"),
        ("Ada has a new secret. Sessions ended: 0.", user_key("ada")),
    ]:
        result = gatebook("users", "set-secret", user, "--secret-stdin", stdin=f"{OTHER}\n")
        assert told(result) == (0, "", f"{said}\n")
    assert ends(gatebook) == [("cli", "secret_changed")] * 2
    gatebook("users", "disable", "ada")
    result = gatebook("users", "set-secret", "ada", "--secret-stdin", stdin=OTHER)
    assert result.stderr.endswith("Sessions ended: 0. The user is still disabled.\n")


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("user", "secret", "code", "why"),
    [
        ("ada", "short", 2, "at least 8 characters"),
        ("ada", "sunshine", 2, "most used"),
        ("ada", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", 2, "not UTF-8"),
        ("ada", "adaada", 2, "at least 8 characters"),
        ("nobody", OTHER, 3, "no user"),
    ],
)
def test_a_secret_that_can_t_be_one_changes_nothing(
    gatebook: Gatebook, user: str, secret: str | bytes, code: int, why: str
) -> None:
    result = gatebook("users", "set-secret", user, "--secret-stdin", stdin=secret)
    assert (result.exit_code, result.stdout) == (code, "")
    assert why in result.stderr
    (item,) = items(gatebook("users", "show", "ada", "--json"))
    assert item["live_sessions"] == 2


@pytest.mark.usefixtures("ada")
def test_a_new_secret_is_not_asked_for_where_nobody_is(gatebook: Gatebook) -> None:
    result = gatebook("users", "set-secret", "ada", stdin=f"{OTHER}\n{OTHER}\n")
    assert (result.exit_code, "--secret-stdin" in result.stderr) == (2, True)
    assert gatebook("users", "set-secret", "nobody").exit_code == 3  # before anybody is asked


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "command",
    ["users disable", "users enable", "sessions list", "sessions end-all"],
)
def test_somebody_who_isn_t_there_is_not_found(gatebook: Gatebook, command: str) -> None:
    for user in ("cid", "uk_00000000000000000000000000", "\x1b[2J"):
        result = gatebook(*command.split(), user)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "no user" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        "users disable ada",
        "users enable ada",
        "users set-secret ada --secret-stdin",
        "sessions list ada",
        "sessions end 0123456789012345678901",
        "sessions end-all ada",
    ],
)
def test_where_there_is_no_store_none_is_made(gatebook: Gatebook, command: str) -> None:
    for _ in range(2):
        result = gatebook(*command.split(), stdin=OTHER)
        assert (result.exit_code, result.stdout) == (6, "")
        assert "no store" in result.stderr


def test_a_running_service_knows_at_once(
    gatebook: Gatebook, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """Security rule 16: whatever a command changed, the next request meets."""
    url, _ = serving(program("serve", "--port", "0", ISSUER="http://localhost"))
    with httpx.Client(base_url=url, trust_env=False) as client:

        def post(path: str, **body: str) -> dict[str, str]:
            answer: dict[str, str] = client.post(path, json=body).json()
            return answer

        key = post("/register", user_id="ada", user_secret=SECRET)["user_key"]

        def log_in_with(secret: str) -> dict[str, str]:
            return post("/authenticate", user_key=key, user_secret=secret)

        for command, reason in [
            (("sessions", "end-all", "ada"), "revoked"),
            (("users", "set-secret", "ada", "--secret-stdin"), "revoked"),
            (("users", "disable", "ada"), "user_disabled"),
        ]:
            tokens = log_in_with(SECRET)
            assert tokens.get("refresh_token"), tokens
            assert gatebook(*command, stdin=SECRET).exit_code == 0
            bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
            assert client.get("/me", headers=bearer).json()["reason"] == reason
            assert post("/refresh", refresh_token=tokens["refresh_token"])["reason"] == reason
        assert log_in_with(SECRET)["code"] == "invalid_credentials"
        assert gatebook("users", "enable", "ada").exit_code == 0
        tokens = log_in_with(SECRET)
        (listed,) = items(gatebook("sessions", "list", "ada", "--json"))
        assert gatebook("sessions", "end", listed["session_id"]).exit_code == 0
        assert post("/refresh", refresh_token=tokens["refresh_token"])["reason"] == "revoked"
        assert gatebook("users", "set-secret", "ada", "--secret-stdin", stdin=OTHER).exit_code == 0
        assert log_in_with(SECRET)["code"] == "invalid_credentials"
        assert log_in_with(OTHER)["refresh_token"]


@pytest.mark.parametrize("session", ["nothing", "\udcff\udcfe", "é" * 22, "0" * 22])
def test_a_session_that_there_is_not_is_told_so(gatebook: Gatebook, ada: str, session: str) -> None:
    code, _, said = told(gatebook("sessions", "end", session))
    assert code == 3
    assert "no session" in said
