"""Canaries in the administration's pages: in every form, rightly and wrongly, and every filter.

Knows these pages, and nothing of where canaries are searched for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tests.prove.flock import ANSWER, REFUSAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.prove.planter import Person, Planter
    from tests.prove.tally import Tally

AT: Final = "/web/admin/users"
_USER: Final = AT + "/{user_key:str}/"
_VIEW: Final = "/web/admin/projections/"
PLANTED: Final = frozenset(
    {
        AT, f"{_USER}permissions", f"{_USER}secret", f"{_USER}disable", f"{_USER}enable",
        f"{_USER}end-sessions", f"{_USER}erase", f"{_VIEW}{{name:str}}/rebuild",
        f"{_VIEW}{{name:str}}/cancel", f"{_VIEW}retry", "/web/admin/keys/rotate",
        "/web/admin/keys/rotate-now",
    }
)  # fmt: skip
"""The forms that are sent here."""

_TYPED: Final = frozenset({ANSWER, REFUSAL})
"""Where a name that was typed into a form may be: in its answer, always."""
_HERE: Final = "http://127.0.0.1"
_FORM: Final = "application/x-www-form-urlencoded"
_SEEN: Final = ("", "/users", "/users/new", "/log", "/projections", "/keys", "/keys/rotate",
                "/keys/rotate-now", "/status")  # fmt: skip


async def use_administration(who: Planter, admin: Person, tally: Tally) -> None:
    """Every page and every form, as an administrator's browser; the keys are replaced at last."""
    new = who.flock.new
    for path in _SEEN:
        await _get(who, tally, admin, 200, f"/admin{path}")
    for query in (
        {"user": new("a user to look for", _TYPED)},
        {"type": new("a type to look for", _TYPED)},
        {"since": new("a time to look for", _TYPED)},
        {"after": new("a place in the log")},
    ):
        await _get(who, tally, admin, 400, f"/admin/log?{urlencode(query)}")
    sought = urlencode({"q": new("a user to find", _TYPED), new("a parameter"): "x"})
    await _get(who, tally, admin, 200, f"/admin/users?{sought}")
    await _change(who, tally, admin)
    view = f"{_VIEW}{new('a view')}"
    await _send(who, tally, admin, 404, f"{view}/rebuild", {"accept": new("whether to accept")})
    await _send(who, tally, admin, 404, f"{view}/cancel", {new("a field"): "x"})
    for path in (f"{_VIEW}retry", "/web/admin/keys/rotate", "/web/admin/keys/rotate-now"):
        await _send(who, tally, admin, 303, path, {new("a field"): new("a value")})


async def _change(who: Planter, tally: Tally, admin: Person) -> None:
    """What is done with a user, until it is gone."""
    new = who.flock.new
    name, secret = new("a name in a form", _TYPED), new("a secret in a form")
    form = {"user_id": name, "user_secret": secret}
    await _send(who, tally, admin, 303, AT, form)
    await _send(who, tally, admin, 409, AT, {**form, "user_secret": new("a secret")})
    await _send(who, tally, admin, 400, AT, {"user_id": name, new("a field"): "x"})
    person = await who.person()
    at = f"{AT}/{person.user_key}"
    for path in ("", "/as-of", "/as-of?version=1", "/erase", f"?done={new('what was done')}"):
        await _get(who, tally, admin, 200, f"/admin/users/{person.user_key}{path}")
    wrong = f"{new('A permission', _TYPED)}!"
    await _send(who, tally, admin, 400, f"{at}/permissions", {"others": wrong})
    await _send(who, tally, admin, 303, f"{at}/permissions", {"others": "my.own"})
    await _send(who, tally, admin, 303, f"{at}/disable", {new("a field"): "x"})
    await _send(who, tally, admin, 303, f"{at}/enable", {})
    await _send(who, tally, admin, 303, f"{at}/end-sessions", {})
    await _send(who, tally, admin, 303, f"{at}/secret", {"user_secret": new("a new secret")})
    await _send(who, tally, admin, 400, f"{at}/secret", {new("a field"): "x"})
    typed = {"name": new("a wrong name", _TYPED)}
    await _send(who, tally, admin, 400, f"{at}/erase", typed)
    await _send(who, tally, admin, 303, f"{at}/erase", {"name": person.user_key})


async def _get(who: Planter, tally: Tally, admin: Person, status: int, path: str) -> None:
    answer = await who.send("GET", path, headers=_cookie(admin))
    tally.expect(answer.status == status, f"GET {path}: {answer.status}, not {status}")


async def _send(
    who: Planter,
    tally: Tally,
    admin: Person,
    status: int,
    path: str,
    fields: Mapping[str, str],
) -> None:
    headers = {"content-type": _FORM, "origin": _HERE, **_cookie(admin)}
    answer = await who.send("POST", path, urlencode(fields).encode(), headers)
    tally.expect(answer.status == status, f"POST {path}: {answer.status}, not {status}")


def _cookie(admin: Person) -> dict[str, str]:
    return {"cookie": f"gatebook={admin.refresh_token}"}
