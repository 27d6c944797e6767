"""What must never be seen is planted everywhere, and then everything is searched for it.

Secrets, names, tokens, addresses and user agents go in through every operation of the OpenAPI
description and every form of a page, in every part of a request, right and wrong; they
must be in no log line, no refusal, no metric and no byte of the database. Security rules 19, 20
and 30.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from tests.prove.described import OPERATIONS, Operation
from tests.prove.flock import ADDRESS, ANSWER, DATABASE, LOG, METRIC, PART, REFUSAL, Flock
from tests.prove.planted_in_administration import use_administration
from tests.prove.planted_in_pages import gaps_in_pages, use_pages
from tests.prove.planted_nearly import use_nearly_rightly
from tests.prove.planted_rightly import basic, gaps, use_rightly
from tests.prove.planted_wrongly import FORM, Setting, plant, strays, use_wrongly
from tests.prove.planter import Planter
from tests.prove.refusing import Refusing
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE, dump, intrude

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROPERTY: Final = "canaries through every endpoint are in no output and not at rest"
SIZE: Final = 20
OF: Final = "flocks"
STEP: Final = 4
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
TRUSTED: Final = "127.0.0.0/8"
"""Every request names an address of its own: a canary, and a budget that nothing exhausts."""
ORIGIN: Final = "https://pages.example"

_FORM: Final = ("client_id", "client_secret", "grant_type", "refresh_token", "scope", "resource")
_IN_A_HEADER: Final = ("a client's secret in a header", "a token in a header")
_TAKEN: Final = "a name that is taken"
_DISGUISES: Final[Mapping[str, Callable[[str], bytes]]] = {
    "plain text": lambda text: text.encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "hex": lambda text: text.encode().hex().upper().encode(),
    "UTF-16": lambda text: text.encode("utf-16-le"),
}


def prove(url: str, count: int) -> Tally:
    """Let a flock of canaries out `count` times, then search everything once."""
    tally, flock = Tally(), Flock()
    for gap in (*gaps(), *gaps_in_pages()):
        tally.wrong(gap)
    log_format = "json" if url.startswith(SQLITE) else "console"
    told = {"LOG_FORMAT": log_format, "TRUSTED_PROXIES": TRUSTED, "CORS_ORIGINS": ORIGIN}
    with running(settings(url, **told)) as server:
        metrics = asyncio.run(_let_out(server.port, url, flock, count, tally))
        at_rest = dump(url)
        tally.expect(server.stop() == 0, "the server did not stop in order")
        outputs = [
            (LOG, server.said),
            (REFUSAL, b"\n".join(flock.refusals)),
            (ANSWER, b"\n".join(flock.answers)),
            (METRIC, metrics),
            (DATABASE, at_rest),
            (DATABASE, dump(url)),
        ]
    for where, content in outputs:
        tally.expect(len(content) > 0, f"{where} is empty")
        for what in sorted(flock.found_in(where, content)):
            tally.wrong(f"{what} is in {where}")
    tally.count("canaries", flock.size)
    tally.count("requests", len(flock.refusals) + len(flock.answers))
    tally.count("bytes searched", sum(len(content) for _, content in outputs))
    _check_the_search(tally)
    _check_the_list(tally)
    _check_the_database(url, tally)
    _check_the_outputs(url, tally)
    return tally


async def _let_out(port: int, url: str, flock: Flock, count: int, tally: Tally) -> bytes:
    """Every round plants new ones everywhere; what `/metrics` says in the end."""
    for _ in range(count):
        async with Planter(port, flock) as who:
            admin, plain = await who.administrator(url), await who.person()
            setting = Setting(admin, plain, await who.person())
            for operation in OPERATIONS:
                await use_rightly(who, setting.admin, operation, tally)
                await use_wrongly(who, setting, operation)
                if operation.secured:
                    # It may have ended the sessions of whoever was there.
                    here = await who.again(admin), await who.again(plain)
                    setting = Setting(*here, setting.victim)
            await use_nearly_rightly(who, setting.admin, tally)
            await use_pages(who, tally)
            await use_administration(who, await who.administrator(url), tally)
            for wish in strays(flock.new):
                await plant(who, wish)
        tally.tried += 1
    async with Planter(port, flock) as who:
        admin, person = await who.administrator(url), await who.person()
        await Refusing(port, url, flock, admin, person).everywhere(tally)
        return (await who.get("/metrics")).body


def _check_the_search(tally: Tally) -> None:
    """A control: what is put into a text is found there, in each disguise, cut off, or issued."""
    flock = Flock()
    for form, disguise in _DISGUISES.items():
        plain, token = flock.new(form), secrets.token_urlsafe(32)
        flock.issued(token, f"a token in {form}")
        for what, each in ((form, plain), (f"a token in {form}", token)):
            content = b"\xff\0" + disguise(f'{{"password": "{each}"}}') + b"\0\xff"
            tally.control(f"a canary: {what}", noticed=flock.found_in(LOG, content) == {what})
    for what, content, name in (
        ("cut off", flock.new("cut off").rpartition("n")[0].encode(), PART),
        ("an address", f"from {flock.address()}".encode(), ADDRESS),
        ("an address in binary", b"ip" + ip_address(flock.address()).packed, ADDRESS),
    ):
        tally.control(f"a canary: {what}", noticed=flock.found_in(LOG, content) == {name})
    shown = flock.new("a name", {ANSWER}).encode()
    told = [where for where in (LOG, ANSWER) if flock.found_in(where, shown)]
    tally.control("a canary where it may be, and where not", noticed=told == [LOG])


def _check_the_list(tally: Tally) -> None:
    """A control: an operation that is new, or that takes more than it is said to, is noticed."""
    for method, queries, gap in (
        ("POST", (), "POST /healthz: nothing is planted there"),
        ("GET", ("after",), "GET /healthz: it is said to take nothing, but it does"),
    ):
        strange = Operation(method, "/healthz", (), queries, (), {}, {}, secured=False)
        noticed = list(gaps([*OPERATIONS, strange])) == [gap]
        tally.control(f"an operation that is not planted at: {strange}", noticed=noticed)
    noticed = [*gaps_in_pages({"/web/new"})] == ["POST /web/new: nothing is planted in this form"]
    tally.control("a form that nothing is planted in", noticed=noticed)


def _check_the_database(url: str, tally: Tally) -> None:
    """A control: what somebody wrote there in clear is found."""
    flock = Flock()
    with intrude(url) as intruder:
        intruder.run("CREATE TABLE canaries (said TEXT)")
        intruder.run("INSERT INTO canaries VALUES (?)", (flock.new("written"),))
        noticed = flock.found_in(DATABASE, dump(url)) == {"written"}
        intruder.run("DROP TABLE canaries")
    tally.control("a canary in the database", noticed=noticed)


def _check_the_outputs(url: str, tally: Tally) -> None:
    """A control: a service that prints forms, and tells names, is found out."""
    flock = Flock()
    given = settings(url, TRUSTED_PROXIES=TRUSTED, TEST_LOG_FORMS="1", TEST_TELL_NAMES="1")
    with running(given) as server:
        metrics = asyncio.run(_let_out_at_a_breach(server.port, flock))
        server.stop()
    for where, content, wanted in (
        (LOG, server.said, {*_FORM, *_IN_A_HEADER}),
        (REFUSAL, b"\n".join(flock.refusals), {_TAKEN}),
        (METRIC, metrics, {_TAKEN}),
    ):
        missed = wanted - flock.found_in(where, content)
        tally.control(f"a canary in {where}", noticed=not missed)


async def _let_out_at_a_breach(port: int, flock: Flock) -> bytes:
    """A client in a form, others in headers, and a name that is taken."""
    new = flock.new
    async with Planter(port, flock) as who:
        form = {name: new(name) for name in _FORM}
        await who.form("/oauth/token", form)
        client, bearer = (new(each) for each in _IN_A_HEADER)
        for header in (basic("uk_", client), f"Bearer {bearer}"):
            headers = {"Authorization": header, "Content-Type": FORM}
            await who.send("POST", "/oauth/introspect", b"token=none", headers)
        name, secret = new(_TAKEN), new("a secret")
        for _ in range(2):
            await who.post("/register", user_id=name, user_secret=secret)
        return (await who.get("/metrics")).body
