"""Giving and taking permissions."""

from __future__ import annotations

import pytest

from domain import commands
from domain.errors import InvalidRequest, NotFound
from domain.events import Event, UserPermissionsSet
from tests.domain.specification import ADA, DISABLED, ERASED, REGISTERED, given

HELD = (REGISTERED, UserPermissionsSet(("billing:read", "users:read")))
MANY = tuple(f"p{place:02}" for place in range(64))


def replace(*permissions: str) -> commands.SetPermissions:
    return commands.SetPermissions(ADA, permissions)


def grant(*permissions: str) -> commands.GrantPermissions:
    return commands.GrantPermissions(ADA, permissions)


def change(given: tuple[str, ...], taken: tuple[str, ...]) -> commands.ChangePermissions:
    return commands.ChangePermissions(ADA, given, taken)


def withdraw(*permissions: str) -> commands.WithdrawPermissions:
    return commands.WithdrawPermissions(ADA, permissions)


def test_permissions_are_kept_sorted_and_once() -> None:
    given(REGISTERED).when(replace("b", "a", "b")).then(UserPermissionsSet(("a", "b")))


def test_setting_replaces_all() -> None:
    given(*HELD).when(replace("admin")).then(UserPermissionsSet(("admin",)))
    given(*HELD).when(replace()).then(UserPermissionsSet(()))


def test_setting_what_is_held_changes_nothing() -> None:
    given(*HELD).when(replace("users:read", "billing:read", "users:read")).nothing()
    given(REGISTERED).when(replace()).nothing()


def test_granting_adds() -> None:
    given(*HELD).when(grant("admin")).then(
        UserPermissionsSet(("admin", "billing:read", "users:read"))
    )


def test_granting_what_is_held_changes_nothing() -> None:
    given(*HELD).when(grant("users:read")).nothing()
    given(*HELD).when(grant()).nothing()


def test_withdrawing_takes_away() -> None:
    given(*HELD).when(withdraw("users:read", "admin")).then(UserPermissionsSet(("billing:read",)))


def test_withdrawing_what_isnt_held_changes_nothing() -> None:
    given(*HELD).when(withdraw("admin", "NOT A PERMISSION")).nothing()


def test_a_change_gives_and_takes_and_leaves_the_rest() -> None:
    given(*HELD).when(change(("admin",), ("users:read",))).then(
        UserPermissionsSet(("admin", "billing:read"))
    )
    given(*HELD).when(change(("a",), ("a", "users:read"))).then(
        UserPermissionsSet(("billing:read",))
    )


def test_a_change_to_what_is_so_already_changes_nothing() -> None:
    given(*HELD).when(change(("users:read",), ("admin",))).nothing()
    given(*HELD).when(change((), ())).nothing()


def test_a_disabled_users_permissions_can_change() -> None:
    given(*HELD, DISABLED).when(withdraw("users:read")).then(UserPermissionsSet(("billing:read",)))


@pytest.mark.parametrize("told", [(), (*HELD, ERASED)])
@pytest.mark.parametrize(
    "command", [replace("a"), replace(), change(("a",), ()), grant("a"), withdraw("a")]
)
def test_nobody_who_isnt_there_has_permissions(
    told: tuple[Event, ...], command: commands.Command
) -> None:
    given(*told).when(command).refused(NotFound)


@pytest.mark.parametrize(
    "command",
    [
        replace("a", "B", "c", ""),
        change(("a", "B", "c", ""), ()),
        grant("a", "B", "c", ""),
    ],
)
def test_each_wrong_permission_is_named_by_its_place_in_the_request(
    command: commands.Command,
) -> None:
    refusal = given(*HELD).when(command).refused(InvalidRequest)
    assert isinstance(refusal, InvalidRequest)
    assert [fault.pointer for fault in refusal.faults] == ["/permissions/1", "/permissions/3"]


def test_a_user_has_at_most_64_permissions() -> None:
    given(REGISTERED).when(replace(*MANY)).then(UserPermissionsSet(MANY))
    refusal = given(REGISTERED).when(replace(*MANY, "p64")).refused(InvalidRequest)
    assert isinstance(refusal, InvalidRequest)
    assert [fault.pointer for fault in refusal.faults] == ["/permissions"]


def test_a_grant_counts_what_is_held() -> None:
    full = given(REGISTERED, UserPermissionsSet(MANY))
    full.when(grant("p64")).refused(InvalidRequest)
    full.when(grant("p63")).nothing()
    full.when(withdraw("p00")).then(UserPermissionsSet(MANY[1:])).when(grant("p64")).then(
        UserPermissionsSet((*MANY[1:], "p64"))
    )
