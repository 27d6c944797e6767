"""What a permission may look like.

Knows nothing of who holds one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from domain.errors import Fault, InvalidRequest

ADMIN: Final = "admin"
MAX_PERMISSIONS: Final = 64
PATTERN: Final = "[a-z][a-z0-9_.:-]{0,63}"
"""As a regular expression, for the whole of it."""
_PERMISSION: Final = re.compile(PATTERN)
_FORM: Final = "A permission is a letter a to z, then at most 63 of a to z, 0 to 9 and _ . : -"


def prepare(permissions: Iterable[str]) -> tuple[str, ...]:
    """Sort and check a list of permissions; raises `InvalidRequest` naming each wrong one."""
    wanted = tuple(permissions)
    faults = tuple(
        Fault(f"/permissions/{place}", _FORM)
        for place, permission in enumerate(wanted)
        if not _PERMISSION.fullmatch(permission)
    )
    if len(set(wanted)) > MAX_PERMISSIONS:
        faults += (Fault("/permissions", f"At most {MAX_PERMISSIONS} permissions a user."),)
    if faults:
        msg = "Some permissions are not acceptable."
        raise InvalidRequest(msg, faults)
    return tuple(sorted(set(wanted)))


def implies(held: Collection[str], permission: str) -> bool:
    """Whether somebody who holds these may do what another permission allows."""
    return permission in held or ADMIN in held


def common(one: Collection[str], other: Collection[str]) -> tuple[str, ...]:
    """What both imply, as far as either names it: a token's share of what its user holds."""
    return tuple(
        each for each in sorted({*one, *other}) if implies(one, each) and implies(other, each)
    )
