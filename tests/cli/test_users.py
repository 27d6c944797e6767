"""`gatebook users` on each kind of store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.cli.access import closing_storage
from tests.cli.conftest import SECRET, Gatebook, items
from tests.store.intruding import dump

if TYPE_CHECKING:
    from click.testing import Result

MEMBERS = "user_key user_id status permissions registered_at last_login_at live_sessions position"


def create(gatebook: Gatebook, name: str) -> str:
    result = gatebook("users", "create", name, "--secret-stdin", stdin=f"{SECRET}\n")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.strip()


def lines(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()]


def test_a_user_is_made_listed_and_shown(gatebook: Gatebook, database_url: str) -> None:
    """Security rules 19 and 20: its secret is nowhere."""
    ada, bob = create(gatebook, "Ada"), create(gatebook, "bob")
    listed = items(gatebook("users", "list", "--json"))
    assert [list(item) for item in listed] == [MEMBERS.split()] * 2
    assert [(item["user_key"], item["user_id"]) for item in listed] == [(ada, "Ada"), (bob, "bob")]
    assert items(gatebook("users", "show", "ADA", "--json")) == listed[:1]
    assert items(gatebook("users", "show", bob, "--json")) == listed[1:]
    header, *rows = lines(gatebook("users", "list"))
    assert header[0] == "USER_KEY"
    assert [(row[0], row[1], row[4]) for row in rows] == [
        (ada, "active", "Ada"),
        (bob, "active", "bob"),
    ]
    assert ["user_id", "Ada"] in lines(gatebook("users", "show", ada))
    assert SECRET.encode() not in dump(database_url)


def test_permissions_are_given_and_taken(gatebook: Gatebook) -> None:
    key = create(gatebook, "ada")
    for args, talk, held in [
        (("grant", "Ada", "users:read", "admin"), "ada has: admin, users:read\n", 2),
        (("grant", key, "admin"), "Nothing to change. ada has: admin, users:read\n", 2),
        (("revoke", "ada", "users:read", "admin"), "ada has: nothing\n", 0),
    ]:
        result = gatebook("users", *args)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", talk)
        (item,) = items(gatebook("users", "show", key, "--json"))
        assert len(item["permissions"]) == held
    actors = [item["actor"] for item in items(gatebook("audit", "log", "--json", "--user", "ada"))]
    assert actors == ["cli"] * 3


@pytest.mark.parametrize("command", ["show", "grant", "revoke"])
def test_somebody_who_isn_t_there_is_not_found(gatebook: Gatebook, command: str) -> None:
    create(gatebook, "ada")
    more = [] if command == "show" else ["admin"]
    for user in ("bob", "uk_00000000000000000000000000", "\x1b[2J"):
        result = gatebook("users", command, user, *more)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "no user" in result.stderr


@pytest.mark.parametrize("command", ["list", "show ada", "grant ada admin"])
def test_where_there_is_no_store_none_is_made(gatebook: Gatebook, command: str) -> None:
    for _ in range(2):
        result = gatebook("users", *command.split())
        assert (result.exit_code, result.stdout) == (6, "")
        assert "no store" in result.stderr


@pytest.mark.parametrize(
    ("name", "secret", "code", "why"),
    [
        ("ada", "short", 2, "at least 8 characters"),
        ("ada", "sunshine", 2, "most used"),
        ("ada", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", 2, "not UTF-8"),
        ("ada", "x" * 1_000_000, 2, "at most 1024 bytes"),
        ("a\x1b[31mda", SECRET, 2, "U+001B"),
        ("BOB", SECRET, 1, "taken"),
    ],
)
def test_who_can_t_be_a_user_is_refused(
    gatebook: Gatebook, name: str, secret: str | bytes, code: int, why: str
) -> None:
    create(gatebook, "bob")
    result = gatebook("users", "create", name, "--secret-stdin", stdin=secret)
    assert (result.exit_code, result.stdout) == (code, "")
    assert why in result.stderr
    assert "\x1b" not in result.stderr
    assert len(items(gatebook("users", "list", "--json"))) == 1


def test_a_secret_is_not_asked_for_where_nobody_is(gatebook: Gatebook) -> None:
    result = gatebook("users", "create", "ada", stdin=f"{SECRET}\n{SECRET}\n")
    assert result.exit_code == 2
    assert "--secret-stdin" in result.stderr


def test_only_the_last_line_end_is_not_the_secret_s(gatebook: Gatebook) -> None:
    for secret in (f"{SECRET}\n", f"{SECRET}\r\n", SECRET, f" {SECRET} \n"):
        name = f"user{hash(secret) & 0xFFFF}"
        assert gatebook("users", "create", name, "--secret-stdin", stdin=secret).exit_code == 0
    result = gatebook("users", "create", "two", "--secret-stdin", stdin=f"{SECRET}\n\n")
    assert (result.exit_code, "control character" in result.stderr) == (2, True)


def test_whoever_makes_a_hash_leaves_its_parameters(gatebook: Gatebook, database_url: str) -> None:
    """Security rule 9: a service learns of them before it meets one. Who makes none leaves none."""

    def parameters() -> list[tuple[object, ...]]:
        with closing_storage(database_url) as storage, storage.snapshot() as rows:
            return sorted(rows.fetch("SELECT memory_kib, time_cost FROM hash_parameters"))

    create(gatebook, "ada")
    known = parameters()
    assert len(known) == 1
    secret = {"HASH_MEMORY_KIB": "24", "HASH_TIME": "3", "stdin": f"{SECRET} anew"}
    gatebook("users", "disable", "ada", HASH_MEMORY_KIB="40")
    assert parameters() == known
    assert gatebook("users", "set-secret", "ada", "--secret-stdin", **secret).exit_code == 0
    assert parameters() == sorted([*known, (24, 3)])


def test_a_permission_that_can_t_be_one_is_a_fault_of_usage(gatebook: Gatebook) -> None:
    create(gatebook, "ada")
    wrong = ["Not:One", "é\x1b[2J", "x" * 41 + " y"]
    result = gatebook("users", "grant", "ada", wrong[0], "users:read", *wrong[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    named = ["'Not:One'", r"'\xe9\x1b[2J'", f"'{'x' * 40}'…"]
    assert [line.partition(": A permission")[0] for line in lines[1:]] == named
    assert all("a letter a to z" in line for line in lines[1:])
    (ada,) = items(gatebook("users", "list", "--json"))
    assert ada["permissions"] == []


def test_an_ill_named_user_can_t_steer_the_terminal(gatebook: Gatebook) -> None:
    """Security rule 21; letters that need no escape stay as they were typed."""
    create(gatebook, "Zoë-Ünal")
    assert "Zoë-Ünal" in gatebook("users", "list").stdout
    line = gatebook("users", "list", "--json").stdout
    assert json.loads(line)["user_id"] == "Zoë-Ünal"
    assert "Zoë-Ünal" in line
