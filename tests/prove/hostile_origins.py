"""Another host, origin or site: none is told, none may read, and no form of theirs is done.

Hosts and origins that are almost the service's, or a page's that was named, in every header that
some server somewhere believes: no answer of any operation or page holds a name that came so, or is
another for it; none is opened to such an origin; no form of any page is done that such a site sent
with a visitor's cookie, nor one that says nothing of where it comes from, and the log stays where
it was: each is filled in so that it is done when a page of the service sends it. Security rules 6,
8 and 24. The controls: a page that was named, every form as a page of the service sends it, and a
service that believes the host that it is asked by, is open to every origin, and does every form.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from tests.prove.client import Client
from tests.prove.described import OPERATIONS
from tests.prove.flock import Flock
from tests.prove.load import SECRET, new_name
from tests.prove.memory import Memory
from tests.prove.planted_in_pages import forms
from tests.prove.planted_wrongly import FORM as TYPE
from tests.prove.planted_wrongly import Setting
from tests.prove.planter import Planter
from tests.prove.stored import an_empty
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.prove.client import Answer
    from tests.prove.planter import Person

PROPERTY: Final = "strange hosts, origins and sites: never told, never opened to, no form done"
SIZE: Final = 400
OF: Final = "places"
STEP: Final = 100
SHORT: Final = 3
STORES: Final = ("sqlite",)
EVIL: Final = "evil-host.example"
PAGE: Final = "https://shop.example.org"
HERE: Final = "http://127.0.0.1"
OPEN_TO_ALL: Final = frozenset(
    {"/revocations", "/revocations/stream", "/.well-known/jwks.json"}
    | {"/.well-known/oauth-authorization-server"}
)
SOME: Final = 12
"""Paths and forms in the short form."""

_PAGES: Final = ("/", "/login", "/register", "/account", "/admin", "/model", "/docs", "/nothing",
                 "/errors/not_found", "/schema", "/sessions", "/me")  # fmt: skip
_BELIEVED: Final = (
    "X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host", "X-Forwarded-Prefix",
    "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Host-Override", "Referer", "X-Forwarded-Proto",
    "X-Real-IP", "X-Forwarded-For", "CF-Connecting-IP", "True-Client-IP", "Via",
)  # fmt: skip
_REFUSED: Final = b"was not sent from a page of this service"
_METADATA: Final = "/.well-known/oauth-authorization-server"
_BREACHES: Final = {
    "TEST_BELIEVED_HOST": "host", "TEST_REFLECTED_ORIGIN": "1", "TEST_UNCHECKED_ORIGIN": "1",
}  # fmt: skip


class Form(NamedTuple):
    """A form that is done when it comes from here, and how that is answered."""

    place: str
    fields: Mapping[str, str]
    person: Person
    done: int = 303

    def headers(self, told: Mapping[str, str]) -> dict[str, str]:
        """What a browser sends with it, that tells this of where it is."""
        return {"cookie": f"gatebook={self.person.refresh_token}", **told, "content-type": TYPE}

    @property
    def body(self) -> bytes:
        """The fields, as they are sent."""
        return urlencode(self.fields).encode()


def prove(url: str, count: int) -> Tally:
    """Come from `count` places that are others."""
    tally, seed = Tally(), secrets.randbits(32)
    rng = random.Random(seed)
    with running(settings(url, CORS_ORIGINS=PAGE)) as server:
        asyncio.run(_Visits(server.port, url, rng, tally).all(count, server.pid))
        tally.expect(server.stop() == 0, "the server did not stop in order")
        tally.expect(b"Traceback" not in server.said, f"a fault: {server.said[-2_000:]!r}")
    url = an_empty(url, "breach")
    with running(settings(url, CORS_ORIGINS=PAGE, **_BREACHES)) as server:
        asyncio.run(_Visits(server.port, url, rng, Tally()).breaches(tally))
    tally.first = [f"seed {seed}: {each}" for each in tally.first]
    return tally


class _Visits:
    """Of one visitor's browser, on many sites."""

    def __init__(self, port: int, url: str, rng: random.Random, tally: Tally) -> None:
        self._port = port
        self._url = url
        self._rng = rng
        self._tally = tally

    async def all(self, count: int, pid: int) -> None:
        async with Planter(self._port, Flock()) as who:
            admin, plain = await who.administrator(self._url), await who.person()
            setting = Setting(admin, plain, await who.person())
            web = await _forms(who, admin, plain)
        self._tally.expect(web.keys() == forms(), f"not sent: {forms() ^ web.keys()}")
        short, memory = count == SHORT, None
        paths = {
            setting.path(each): each.method
            for each in OPERATIONS
            if each.method == "GET" and not each.path.endswith("/stream")
        }
        paths |= dict.fromkeys(_PAGES, "GET")
        cookie = {"cookie": f"gatebook={admin.refresh_token}"}
        bearer = admin.bearer
        async with Client(self._port) as client:
            # The first use of a token is recorded, and any later one isn't.
            await client.send("GET", "/account", headers=cookie)
            for _ in range(count):
                tried = self._rng.sample(sorted(paths), SOME) if short else sorted(paths)
                sent = self._rng.sample(sorted(web), SOME // 2) if short else sorted(web)
                for path in tried:
                    headers = {**bearer, **cookie, "accept": "text/html"}
                    await self._host(client, path, _almost(self._rng, EVIL), headers)
                    await self._origin(client, path, _origin(self._rng), bearer)
                await self._sites(client, [web[each] for each in sent])
                self._tally.tried += 1
                memory = memory or Memory(pid)
            if memory is not None and not short:
                memory.judge(self._tally)
            await self._controls(client, web)

    async def breaches(self, tally: Tally) -> None:
        """Of a service that has them all: what notices none of the honest one notices each."""
        async with Planter(self._port, Flock()) as who:
            admin = await who.administrator(self._url)
            web = await _forms(who, admin, await who.person())
        async with Client(self._port) as client:
            await self._host(client, _METADATA, EVIL, {})
            tally.control("a host that is believed", noticed=self._noticed("the strange name is"))
            await self._origin(client, "/me", f"https://{EVIL}", admin.bearer)
            tally.control("an origin that is reflected", noticed=self._noticed("/me is open to"))
            for path, form in web.items():
                await self._site(client, form, {"origin": f"https://{EVIL}"})
                noticed = self._noticed(f"POST {form.place} ", f": {form.done}")
                tally.control(f"{path}, from anywhere", noticed=noticed)
            await self._site(client, web["/web/logout"], {})
            noticed = self._noticed("POST /web/logout {}")
            tally.control("a form from nowhere", noticed=noticed)

    def _noticed(self, *words: str) -> bool:
        """Whether something was wrong just now, in these words."""
        found = any(all(each in told for each in words) for told in self._tally.first)
        self._tally.first.clear()
        return found

    async def _host(
        self, client: Client, path: str, strange: str, headers: Mapping[str, str]
    ) -> None:
        """The same answer as to the right host, without a word of the strange one."""
        usual = await client.send("GET", path, headers=headers)
        told = dict.fromkeys(self._rng.sample(_BELIEVED, 6), strange)
        told["Forwarded"] = f'for=1.2.3.4;host="{strange}";proto=https'
        told["X-HTTP-Method-Override"] = "DELETE"
        answer = await client.send("GET", path, headers={**headers, **told, "Host": strange})
        where = f"GET {path}, host {strange!r}"
        self._look(answer, where)
        # A name that can't be one is refused.
        right = answer.status in {usual.status, 400}
        self._tally.expect(right, f"{answer.status}: {where}")
        place = [each.headers.get("location") for each in (usual, answer)]
        self._tally.expect(place[1] in {place[0], None}, f"to {place[1]}: {where}")
        absolute = await client.send("GET", f"http://{EVIL}{path}", headers=headers)
        self._look(absolute, f"GET http://{EVIL}{path}")
        self._tally.count("strange hosts", 2)

    async def _origin(
        self, client: Client, path: str, origin: str, bearer: Mapping[str, str]
    ) -> None:
        wanted = {"Access-Control-Request-Method": "GET"}
        for method, more in (("GET", bearer), ("OPTIONS", wanted)):
            answer = await client.send(method, path, headers={**more, "Origin": origin})
            allowed = answer.headers.get("access-control-allow-origin")
            right = allowed == "*" if path in OPEN_TO_ALL else allowed is None
            self._tally.expect(right, f"{method} {path} is open to {origin!r}: {allowed}")
            sent = "access-control-allow-credentials" in answer.headers
            self._tally.expect(not sent, f"{method} {path} is open with cookies")
            self._tally.expect(answer.status < 500, f"{answer.status} to {method} {path}")
            self._tally.count("strange origins")

    async def _sites(self, client: Client, web: list[Form]) -> None:
        before = self._head()
        for form in web:
            origin = _origin(self._rng) if self._rng.randrange(4) else PAGE
            site = self._rng.choice(("cross-site", "same-site", "none", "x", ""))
            told = self._rng.choice(
                ({"origin": origin}, {"sec-fetch-site": site}, {"origin": HERE + ".evil.example"})
            )
            told = {**told, **({"origin": HERE} if "sec-fetch-site" in told else {})}
            if told.get("sec-fetch-site") == "":
                told = {"origin": "null", "host": "null"}
            await self._site(client, form, told)
            await self._site(client, form, {})
        after = self._head()
        self._tally.expect(after == before, f"{after - before} events of strange sites")

    async def _site(self, client: Client, form: Form, told: Mapping[str, str]) -> None:
        """Refused for where it came from: whatever else might be wrong with it isn't looked at."""
        answer = await client.send("POST", form.place, form.body, form.headers(told))
        right = answer.status == 400 and _REFUSED in answer.body
        self._tally.expect(right, f"POST {form.place} {told}: {answer.status}")
        set_cookie = "set-cookie" in answer.headers
        self._tally.expect(not set_cookie, f"POST {form.place} {told}: a cookie is set")
        self._tally.count("forms of strange sites")

    async def _controls(self, client: Client, web: Mapping[str, Form]) -> None:
        named = await client.send("GET", "/me", headers={"Origin": PAGE})
        opened = named.headers.get("access-control-allow-origin") == PAGE
        self._tally.control("a page that was named", noticed=opened)
        before = self._head()
        for path, form in web.items():
            headers = form.headers({"origin": HERE})
            answer = await client.send("POST", form.place, form.body, headers)
            self._tally.control(f"{path}, from here", noticed=answer.status == form.done)
        self._tally.control("forms of the service's own", noticed=self._head() > before)

    def _look(self, answer: Answer, where: str) -> None:
        self._tally.expect(answer.status < 500, f"{answer.status}: {where}")
        self._tally.expect(not _has(answer), f"the strange name is told: {where}")

    def _head(self) -> int:
        with intrude(self._url) as intruder:
            ((head,),) = intruder.run("SELECT max(position) FROM events")
        return int(head or 0)


def _has(answer: Answer) -> bool:
    head = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
    return EVIL in head or EVIL.encode() in answer.body


async def _forms(who: Planter, admin: Person, plain: Person) -> dict[str, Form]:
    """Every form, each done if they are sent in this order: none takes from another what it needs.

    What one does for oneself is each somebody else's.
    """
    over, out, one, others, other, gone = [await who.person() for _ in range(6)]
    ended = (await who.again(one)).session_id
    view, user = "/web/admin/projections/", "/web/admin/users/{user_key:str}/"
    new = {"user_secret": SECRET}
    sent = {
        "/web/register": (plain, {"user_id": new_name(), **new}),
        "/web/login": (over, {"user": over.name, "user_secret": over.secret, "next": "/account"}),
        "/web/logout": (out, {}),
        "/web/sessions/end": (one, {"session_id": ended}),
        "/web/sessions/end-others": (others, {}),
        "/web/secret": (other, {"user_secret": other.secret, "new_user_secret": SECRET}),
        "/web/erase": (gone, {"user_secret": gone.secret}),
        "/web/admin/users": (admin, {"user_id": new_name(), **new}),
        f"{user}permissions": (admin, {"others": "my.own"}),
        f"{user}secret": (admin, new),
        f"{user}disable": (admin, {}),
        f"{user}enable": (admin, {}),
        f"{user}end-sessions": (admin, {}),
        f"{user}erase": (admin, {"name": plain.user_key}),
        f"{view}{{name:str}}/rebuild": (admin, {"accept": "yes"}),
        f"{view}{{name:str}}/cancel": (admin, {}),
        f"{view}retry": (admin, {}),
        "/web/admin/keys/rotate": (admin, {}),
        "/web/admin/keys/rotate-now": (admin, {}),
    }
    found = {}
    for path, (person, fields) in sent.items():
        place = path.replace("{user_key:str}", plain.user_key).replace("{name:str}", "revocations")
        # Whoever is erased is told so at once, and not sent on.
        found[path] = Form(place, fields, person, 200 if path == "/web/erase" else 303)
    return found


def _almost(rng: random.Random, host: str) -> str:
    """A host of that name, as some header may have it."""
    forms = (
        "{}", "{}:80", "{}:443", "127.0.0.1.{}", "127.0.0.1@{}", "{}#127.0.0.1", "{}:x", "{}.",
        "127.0.0.1:8000@{}", "{}/127.0.0.1", "[::1]{}", "{}%00127.0.0.1", "{},127.0.0.1", "//{}",
    )  # fmt: skip
    return rng.choice(forms).replace("{}", host)


def _origin(rng: random.Random) -> str:
    """One that is nearly the page's, or the service's own, and isn't."""
    real = rng.choice((PAGE, HERE))
    scheme, _, host = real.partition("://")
    forms = (
        f"{real}.evil.example", f"{scheme}://evil.example/{host}", f"{scheme}://evil{host}",
        f"{scheme}://x.{host}", f"{scheme}://{host}@evil.example", f"{scheme}://evil@{host}",
        f"{real}/", f"{real}.", f"{real}:8", f"{real}:443", f"{real}%00", f"{real}#", f"{real}?",
        "null", "*", "file://", f"ftp://{host}", f"{real}, https://evil.example", f"'{real}'",
        f"https://evil.example, {real}", f"{scheme.upper()}://{host}x", f"{real}\u00e4",
        f"{scheme}:{host}", f"{scheme}:\\\\{host}", f"{real} {real}", f"chrome-extension://{host}",
        f"https://{EVIL}",
    )  # fmt: skip
    return rng.choice(forms)
