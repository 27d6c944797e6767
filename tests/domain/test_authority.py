"""Who may change whom, and what an administrator can't do to the last one."""

from __future__ import annotations

import msgspec
import pytest

from domain import commands, events
from domain.aggregate import USER
from domain.authority import Others
from domain.commands import AdministrativeCommand, Authority
from domain.errors import InsufficientPermission, InvalidRequest, LastAdministrator, NotFound
from domain.events import Event
from domain.sealed import Clear
from tests.domain.specification import (
    ADA,
    BOB,
    DISABLED,
    ENABLED,
    ERASED,
    REGISTERED,
    given,
    login,
    number,
)

Told = tuple[int | Event, ...]


def permitted(*permissions: str) -> events.UserPermissionsSet:
    return events.UserPermissionsSet(permissions)


def asked(command: AdministrativeCommand, *shown: str, by: str = BOB) -> AdministrativeCommand:
    """The command as somebody wishes it whose access token has the permissions shown."""
    return msgspec.structs.replace(command, by=Authority(by, shown))


def holding(*permissions: str, since: Told = (), another: bool = True) -> Others:
    """Bob, who asks, has these permissions; `since` is what happened to him afterwards."""
    told = (REGISTERED, permitted(*permissions), *since)
    return Others(USER.fold(number(BOB, told)), another)


def herself(*told: int | Event, another: bool = False) -> Others:
    """Ada asks, who is the user that is changed."""
    return Others(USER.fold(number(ADA, told)), another)


ORDINARY: Told = (REGISTERED, permitted("billing:read"), *login(1))
ADMINISTRATOR: Told = (REGISTERED, permitted("admin"), *login(1))
DISABLE, ENABLE = commands.DisableUser(ADA), commands.EnableUser(ADA)
STRIP = commands.SetPermissions(ADA, ())
TAKE = commands.ChangePermissions(ADA, (), ("admin", "billing:read"))
RESET = commands.ResetSecret(ADA, Clear("$argon2id$new"))
END_ALL = commands.EndSessions(ADA, "admin")
ERASE = commands.EraseUser(ADA)
COMMANDS: tuple[AdministrativeCommand, ...] = (STRIP, TAKE, RESET, DISABLE, ENABLE, ERASE, END_ALL)
EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda each: type(each).__name__)
"""Each changes something of a user to whom `prepared` happened."""


def prepared(told: Told, command: AdministrativeCommand) -> Told:
    """A history in which the command has something to do."""
    return (*told, DISABLED) if command is ENABLE else told


def facts(told: Told, command: AdministrativeCommand) -> tuple[Event, ...]:
    """What the command leads to for one who may."""
    decided = given(*told).when(command).decided()
    assert decided
    return decided


def test_every_administrative_command_is_tried() -> None:
    assert {type(each) for each in COMMANDS} == set(AdministrativeCommand.__subclasses__())


# --- who may


@EACH
@pytest.mark.parametrize("held", [("users:write",), ("admin",), ("admin", "users:write")])
def test_a_holder_of_users_write_and_an_administrator_may_change_a_user(
    command: AdministrativeCommand, held: tuple[str, ...]
) -> None:
    told = prepared(ORDINARY, command)
    given(*told).when(asked(command, *held), others=holding(*held)).then(*facts(told, command))


@EACH
@pytest.mark.parametrize("held", [(), ("users:read",), ("events:read", "keys:write", "users")])
def test_anybody_else_is_told_what_is_missing(
    command: AdministrativeCommand, held: tuple[str, ...]
) -> None:
    given(*prepared(ORDINARY, command)).when(asked(command, *held), others=holding(*held)).refused(
        InsufficientPermission, permission="users:write"
    )


@EACH
@pytest.mark.parametrize("held", ["users:write", "admin"])
def test_a_token_that_shows_less_than_its_user_holds_allows_less(
    command: AdministrativeCommand, held: str
) -> None:
    given(*prepared(ORDINARY, command)).when(
        asked(command, "users:read"), others=holding(held, "users:read")
    ).refused(InsufficientPermission, permission="users:write")


@EACH
@pytest.mark.parametrize("shown", ["users:write", "admin"])
def test_a_permission_that_was_withdrawn_meanwhile_is_none(
    command: AdministrativeCommand, shown: str
) -> None:
    """Security rule 16."""
    told = given(*prepared(ORDINARY, command))
    withdrawn = holding(shown, since=(permitted("users:read"),))
    told.when(asked(command, shown), others=withdrawn).refused(
        InsufficientPermission, permission="users:write"
    )


@EACH
@pytest.mark.parametrize("since", [DISABLED, ERASED])
@pytest.mark.parametrize("shown", ["users:write", "admin"])
def test_who_was_disabled_or_erased_meanwhile_changes_nobody(
    command: AdministrativeCommand, since: Event, shown: str
) -> None:
    """Security rule 16."""
    gone = holding(shown, since=(since,))
    given(*prepared(ORDINARY, command)).when(asked(command, shown), others=gone).refused(
        InsufficientPermission, permission="users:write"
    )


@EACH
def test_who_never_was_changes_nobody(command: AdministrativeCommand) -> None:
    given(*prepared(ORDINARY, command)).when(
        asked(command, "admin", "users:write"), others=Others()
    ).refused(InsufficientPermission, permission="users:write")


@EACH
def test_who_was_enabled_again_may_again(command: AdministrativeCommand) -> None:
    told = prepared(ORDINARY, command)
    back = holding("users:write", since=(DISABLED, ENABLED))
    given(*told).when(asked(command, "users:write"), others=back).then(*facts(told, command))


@EACH
@pytest.mark.parametrize("told", [ORDINARY, ADMINISTRATOR])
def test_an_operator_needs_no_permission(told: Told, command: AdministrativeCommand) -> None:
    told = prepared(told, command)
    nobody = Others(another_administrator=False)
    given(*told).when(command, others=nobody).then(*facts(told, command))


@pytest.mark.parametrize(
    ("command", "told"),
    [
        *((each, ()) for each in COMMANDS),
        *((each, (*ADMINISTRATOR, ERASED)) for each in COMMANDS if each is not ERASE),
    ],
)
def test_nobody_who_isnt_there_is_changed(told: Told, command: AdministrativeCommand) -> None:
    given(*told).when(command).refused(NotFound)
    for held in ("admin", "users:write"):
        given(*told).when(asked(command, held), others=holding(held)).refused(NotFound)


# --- an administrator


@EACH
def test_only_an_administrator_changes_an_administrator(command: AdministrativeCommand) -> None:
    told = prepared(ADMINISTRATOR, command)
    given(*told).when(asked(command, "users:write"), others=holding("users:write")).refused(
        InsufficientPermission, permission="admin"
    )
    given(*told).when(asked(command, "admin"), others=holding("admin")).then(*facts(told, command))


@EACH
def test_a_disabled_administrator_is_still_one_to_those_who_arent(
    command: AdministrativeCommand,
) -> None:
    given(*ADMINISTRATOR, DISABLED).when(
        asked(command, "users:write"), others=holding("users:write")
    ).refused(InsufficientPermission, permission="admin")


@EACH
def test_an_administrator_with_a_token_for_less_is_none(command: AdministrativeCommand) -> None:
    given(*prepared(ADMINISTRATOR, command)).when(
        asked(command, "users:write"), others=holding("admin", "users:write")
    ).refused(InsufficientPermission, permission="admin")


@EACH
def test_who_was_an_administrator_when_the_token_was_made_is_none(
    command: AdministrativeCommand,
) -> None:
    """Security rule 16."""
    stripped = holding("admin", "users:write", since=(permitted("users:write"),))
    given(*prepared(ADMINISTRATOR, command)).when(
        asked(command, "admin", "users:write"), others=stripped
    ).refused(InsufficientPermission, permission="admin")


@EACH
def test_who_is_an_administrator_no_more_is_changed_as_anybody(
    command: AdministrativeCommand,
) -> None:
    told = prepared((*ADMINISTRATOR, permitted("billing:read")), command)
    given(*told).when(asked(command, "users:write"), others=holding("users:write")).then(
        *facts(told, command)
    )


# --- giving and taking


def give(*permissions: str) -> commands.SetPermissions:
    return commands.SetPermissions(ADA, permissions)


def test_a_caller_gives_what_it_holds() -> None:
    held = ("keys:read", "users:write")
    given(*ORDINARY).when(asked(give(*held), *held), others=holding(*held)).then(permitted(*held))


def test_a_caller_changes_by_what_it_holds_alone() -> None:
    held = ("keys:read", "users:write")
    wish = commands.ChangePermissions(ADA, ("billing:read", "keys:read"), ("x",))
    given(*ORDINARY).when(asked(wish, *held), others=holding(*held)).then(
        permitted("billing:read", "keys:read")
    )
    wish = commands.ChangePermissions(ADA, ("keys:read", "keys:write"), ("billing:read",))
    given(*ORDINARY).when(asked(wish, *held), others=holding(*held)).refused(
        InsufficientPermission, permission="keys:write"
    )


def test_what_is_given_and_taken_at_once_is_taken() -> None:
    """Asked for again, it is so already: nobody needs to hold what isn't given."""
    wish = commands.ChangePermissions(ADA, ("billing:read",), ("billing:read", "x"))
    told = asked(wish, "users:write")
    given(*ORDINARY).when(told, others=holding("users:write")).then(permitted())
    given(*ORDINARY, permitted()).when(told, others=holding("users:write")).then()


def test_the_first_permission_that_the_caller_doesnt_hold_is_named() -> None:
    held = ("keys:read", "users:write")
    wish = asked(give("users:write", "users:read", "keys:write", "keys:read"), *held)
    given(*ORDINARY).when(wish, others=holding(*held)).refused(
        InsufficientPermission, permission="keys:write"
    )


def test_only_an_administrator_makes_another() -> None:
    for held in (("users:write",), ("keys:read", "users:read", "users:write")):
        given(*ORDINARY).when(asked(give("admin"), *held), others=holding(*held)).refused(
            InsufficientPermission, permission="admin"
        )
    given(*ORDINARY).when(asked(give("admin"), "admin"), others=holding("admin")).then(
        permitted("admin")
    )


def test_an_administrator_gives_what_it_doesnt_hold_by_name() -> None:
    given(*ORDINARY).when(asked(give("keys:read", "x"), "admin"), others=holding("admin")).then(
        permitted("keys:read", "x")
    )


@pytest.mark.parametrize(
    ("shown", "others"),
    [
        (("users:write",), holding("keys:read", "users:write")),
        (
            ("keys:read", "users:write"),
            holding("keys:read", "users:write", since=(permitted("users:write"),)),
        ),
    ],
)
def test_a_caller_gives_only_what_both_its_token_and_its_user_have(
    shown: tuple[str, ...], others: Others
) -> None:
    given(*ORDINARY).when(asked(give("keys:read"), *shown), others=others).refused(
        InsufficientPermission, permission="keys:read"
    )


def test_what_the_user_has_already_isnt_given() -> None:
    given(*ORDINARY).when(
        asked(give("billing:read", "users:write"), "users:write"), others=holding("users:write")
    ).then(permitted("billing:read", "users:write"))


def test_a_caller_takes_away_what_it_doesnt_hold() -> None:
    given(*ORDINARY).when(asked(give(), "users:write"), others=holding("users:write")).then(
        permitted()
    )


def test_what_a_caller_took_away_it_doesnt_give_back() -> None:
    told = (*ORDINARY, permitted())
    given(*told).when(
        asked(give("billing:read"), "users:write"), others=holding("users:write")
    ).refused(InsufficientPermission, permission="billing:read")


def test_nobody_gives_itself_more() -> None:
    told = (REGISTERED, permitted("users:write"))
    wish = asked(give("admin", "users:write"), "users:write", by=ADA)
    given(*told).when(wish, others=herself(*told)).refused(
        InsufficientPermission, permission="admin"
    )


@pytest.mark.parametrize("held", ["users:write", "admin"])
def test_malformed_permissions_are_named_before_those_that_arent_held(held: str) -> None:
    wish = asked(give("keys:read", "WRONG", "users:read", ""), held)
    refusal = given(*ORDINARY).when(wish, others=holding(held)).refused(InvalidRequest)
    assert isinstance(refusal, InvalidRequest)
    assert [fault.pointer for fault in refusal.faults] == ["/permissions/1", "/permissions/3"]


@pytest.mark.parametrize("held", ["users:write", "admin"])
def test_too_many_permissions_are_refused_whoever_asks(held: str) -> None:
    """Security rule 1."""
    wish = asked(give(*(f"p{place:02}" for place in range(65))), held)
    given(*ORDINARY).when(wish, others=holding(held)).refused(InvalidRequest)


def test_who_may_not_isnt_told_what_is_malformed() -> None:
    given(*ORDINARY).when(asked(give("WRONG"), "users:read"), others=holding("users:read")).refused(
        InsufficientPermission, permission="users:write"
    )


# --- the last administrator

UNMAKING = pytest.mark.parametrize(
    "command",
    [DISABLE, ERASE, STRIP, TAKE, give("users:read", "users:write")],
    ids=["disable", "erase", "strip", "take", "give"],
)


@UNMAKING
def test_the_last_administrator_stays(command: AdministrativeCommand) -> None:
    given(*ADMINISTRATOR).when(
        asked(command, "admin", by=ADA), others=herself(*ADMINISTRATOR)
    ).refused(LastAdministrator)


@UNMAKING
def test_an_administrator_who_isnt_the_last_can_go(command: AdministrativeCommand) -> None:
    given(*ADMINISTRATOR).when(
        asked(command, "admin", by=ADA), others=herself(*ADMINISTRATOR, another=True)
    ).then(*facts(ADMINISTRATOR, command))
    given(*ADMINISTRATOR).when(asked(command, "admin"), others=holding("admin")).then(
        *facts(ADMINISTRATOR, command)
    )


@pytest.mark.parametrize("command", [RESET, END_ALL, give("admin", "users:read")])
def test_the_last_administrator_can_be_changed_in_other_ways(
    command: AdministrativeCommand,
) -> None:
    given(*ADMINISTRATOR).when(
        asked(command, "admin", by=ADA), others=herself(*ADMINISTRATOR)
    ).then(*facts(ADMINISTRATOR, command))


def test_what_is_so_already_is_nothing_for_the_last_administrator_too() -> None:
    alone = herself(*ADMINISTRATOR)
    for command in (give("admin"), ENABLE):
        given(*ADMINISTRATOR).when(asked(command, "admin", by=ADA), others=alone).nothing()


def test_a_disabled_administrator_isnt_the_last() -> None:
    told = given(*ADMINISTRATOR, DISABLED)
    alone = holding("admin", another=False)
    told.when(asked(STRIP, "admin"), others=alone).then(permitted())
    told.when(asked(DISABLE, "admin"), others=alone).nothing()


@UNMAKING
def test_who_isnt_an_administrator_isnt_the_last(command: AdministrativeCommand) -> None:
    alone = holding("admin", another=False)
    given(*ORDINARY).when(asked(command, "admin"), others=alone).then(*facts(ORDINARY, command))


@UNMAKING
def test_who_may_not_change_an_administrator_isnt_told_that_it_is_the_last(
    command: AdministrativeCommand,
) -> None:
    alone = holding("users:write", another=False)
    given(*ADMINISTRATOR).when(asked(command, "users:write"), others=alone).refused(
        InsufficientPermission, permission="admin"
    )


@UNMAKING
def test_an_operator_may_unmake_the_last_administrator(command: AdministrativeCommand) -> None:
    alone = Others(another_administrator=False)
    given(*ADMINISTRATOR).when(command, others=alone).then(*facts(ADMINISTRATOR, command))


def test_an_operator_withdraws_the_last_administrators_permission() -> None:
    alone = Others(another_administrator=False)
    wish = commands.WithdrawPermissions(ADA, ("admin",))
    given(*ADMINISTRATOR).when(wish, others=alone).then(permitted())
