"""Who may change whom: the rules between an administrator and the user that is changed.

Pure, as `domain.decider`. What they need of other users comes in as `Others`. An operator at the
command line is bound by none of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from domain import commands
from domain.commands import Authority
from domain.errors import InsufficientPermission, LastAdministrator
from domain.permission import ADMIN, common, implies, prepare
from domain.user import User

WRITE: Final = "users:write"


class Others(msgspec.Struct, frozen=True):
    """What is true, at the moment of deciding, of users other than the one that is changed.

    `asking` is the user who asks, `another_administrator` whether there is another enabled one.
    """

    asking: User = User()
    another_administrator: bool = True


NOBODY_ELSE: Final = Others()


def check(user: User, command: commands.AdministrativeCommand, others: Others) -> None:
    """Raises `InsufficientPermission` naming what is missing, and `LastAdministrator`."""
    if command.by is None:
        return
    held = _held(command.by, others.asking)
    if not implies(held, WRITE):
        raise InsufficientPermission(WRITE)
    if ADMIN in user.permissions and ADMIN not in held:
        raise InsufficientPermission(ADMIN)
    for permission in prepare(_given(command)):
        if permission not in user.permissions and not implies(held, permission):
            raise InsufficientPermission(permission)
    if _unmakes(command):
        check_not_last(user, others)


def check_not_last(user: User, others: Others) -> None:
    """Raises `LastAdministrator` for the one without whom nobody would administer."""
    if is_administrator(user) and not others.another_administrator:
        raise LastAdministrator


def is_administrator(user: User) -> bool:
    """Whether the user is an enabled administrator."""
    return user.status == "active" and ADMIN in user.permissions


def _held(by: Authority, asking: User) -> tuple[str, ...]:
    """What the token allows and the user who asks still holds."""
    return common(by.permissions, asking.permissions) if asking.status == "active" else ()


def _given(command: commands.AdministrativeCommand) -> tuple[str, ...]:
    """Permissions that the user would have afterwards, and perhaps not before."""
    match command:
        case commands.SetPermissions(permissions=permissions):
            return permissions
        case commands.ChangePermissions(given=given, taken=taken):
            return tuple(each for each in given if each not in taken)
        case _:
            return ()


def _unmakes(command: commands.AdministrativeCommand) -> bool:
    """Whether an administrator would be none afterwards."""
    match command:
        case commands.DisableUser() | commands.EraseUser():
            return True
        case commands.SetPermissions(permissions=permissions):
            return ADMIN not in permissions
        case commands.ChangePermissions(taken=taken):
            return ADMIN in taken
        case _:
            return False
