"""Canaries in pages: in every form, rightly and wrongly filled in, and in every address.

What a form was refused for is shown once more to whoever sent it, but for secrets. Knows the pages,
and nothing of where canaries are searched for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from app.web.controllers import CONTROLLERS
from tests.prove.flock import ANSWER, REFUSAL
from tests.prove.planted_in_administration import PLANTED as IN_ADMINISTRATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.prove.client import Answer
    from tests.prove.planter import Person, Planter
    from tests.prove.tally import Tally

TYPED: Final = frozenset({ANSWER, REFUSAL})
"""Where a name that was typed into a form may be, and the visitor's own: in its answer, always."""
PLANTED: Final = frozenset(
    {
        "/web/register", "/web/login", "/web/logout", "/web/sessions/end",
        "/web/sessions/end-others", "/web/secret", "/web/erase",
    }
)  # fmt: skip
"""The forms that are sent here."""

_HERE: Final = "http://127.0.0.1"
_FORM: Final = "application/x-www-form-urlencoded"
_SEEN: Final = ("/", "/account", "/account/history", "/account/secret", "/account/erase")


def forms() -> set[str]:
    """Every path at which a controller of pages takes a form."""
    return {
        path
        for controller in CONTROLLERS
        for handler in vars(controller).values()
        for path in getattr(handler, "paths", ())
        if "POST" in handler.http_methods
    }


def gaps_in_pages(found: set[str] | None = None) -> Iterator[str]:
    """Forms in which nothing is planted."""
    for path in sorted((forms() if found is None else found) - PLANTED - IN_ADMINISTRATION):
        yield f"POST {path}: nothing is planted in this form"


async def use_pages(who: Planter, tally: Tally) -> None:
    """Every page and every form, as a browser of somebody who is logged in, and of a stranger."""
    new = who.flock.new
    name, secret = new("a name in a form", TYPED), new("a secret in a form")
    form = {"user_id": name, "user_secret": secret}
    await _send(who, tally, 303, "/web/register", form)
    await _send(who, tally, 409, "/web/register", {**form, "user_secret": new("a secret")})
    await _send(who, tally, 400, "/web/register", {"user_id": name, new("a field"): "x"})
    await _send(who, tally, 401, "/web/login", {"user": name, "user_secret": new("a wrong secret")})
    to = "/" + new("where to go", TYPED)
    entered = {"user": name, "user_secret": secret, "next": to}
    await _send(who, tally, 303, "/web/login", entered)
    await _send(who, tally, 400, "/web/login", entered, origin=f"https://{new('a site')}.example")
    query = urlencode({"next": f"/{new('where to go', TYPED)}", new("a parameter"): new("a value")})
    for path in (f"/login?{query}", "/register", f"/{new('a path')}", f"/web/{new('a path')}"):
        await who.send("GET", path, headers={"accept": f"text/html, {new('a kind')}/*"})
    own, secret = new("a visitor's own name", TYPED), new("a visitor's secret")
    person = await who.log_in(own, secret, await who.register(own, secret))
    for path in (*_SEEN, f"/account?done={new('what was done')}"):
        answer = await who.send("GET", path, headers=_cookie(person))
        tally.expect(answer.status == 200, f"GET {path}: {answer.status}")
    await who.send("GET", f"/account/history?after={new('a place')}", headers=_cookie(person))
    await _see_to_it(who, tally, person)


async def _see_to_it(who: Planter, tally: Tally, person: Person) -> None:
    """What somebody may do with an account, until it is gone."""
    new = who.flock.new
    ending = {"session_id": new("a session")}
    await _send(who, tally, 303, "/web/sessions/end", ending, person)
    await _send(who, tally, 303, "/web/sessions/end-others", {}, person)
    other = new("a changed secret")
    wrong = {"user_secret": new("a wrong secret"), "new_user_secret": other}
    await _send(who, tally, 401, "/web/secret", wrong, person)
    short = {"user_secret": person.secret, "new_user_secret": "short"}
    await _send(who, tally, 400, "/web/secret", short, person)
    right = {"user_secret": person.secret, "new_user_secret": other}
    await _send(who, tally, 303, "/web/secret", right, person)
    await _send(who, tally, 401, "/web/erase", {"user_secret": new("a wrong secret")}, person)
    await _send(who, tally, 200, "/web/erase", {"user_secret": other}, person)
    await _send(who, tally, 303, "/web/logout", {}, await who.person())


async def _send(
    who: Planter,
    tally: Tally,
    status: int,
    path: str,
    fields: Mapping[str, str],
    person: Person | None = None,
    *,
    origin: str = _HERE,
) -> Answer:
    headers = {"content-type": _FORM, "origin": origin, **_cookie(person)}
    answer = await who.send("POST", path, urlencode(fields).encode(), headers)
    tally.expect(answer.status == status, f"POST {path}: {answer.status}, not {status}")
    return answer


def _cookie(person: Person | None) -> dict[str, str]:
    return {} if person is None else {"cookie": f"gatebook={person.refresh_token}"}
