"""Who reads the signing keys that a process holds in memory: whoever goes by another afterwards.

A key takes over at once, by the command line; by which key each reader goes is seen before and
after.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.web.model.graph import model
from app.web.model.readers import KEY_RING, READERS
from domain.catalogue import EVENTS
from tests.http.steps import SECRET, parts, seconds
from tests.running import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.people import Person
    from tests.pages.house import House, Somebody

OF_RING = [each.label for each in READERS if KEY_RING in each.reads]
AGE = re.compile(r"^gatebook_signing_key_age_seconds (\S+)$", re.MULTILINE)
SHOWN = re.compile(r'class="mono">([^<]+)</span> <span class="tag[^"]*">active<')


class Asker(NamedTuple):
    """Somebody who may see keys, by the API and by the pages, and the tokens that there were."""

    person: Person
    visitor: Somebody
    tokens: tuple[str, ...]
    env: dict[str, str]

    def listed(self) -> list[dict[str, str]]:
        """The keys, as the API has them."""
        found: list[dict[str, str]] = self.person.again().get("/keys").json()["items"]
        return found

    def form(self, path: str, **more: str) -> dict[str, object]:
        """What is answered to a form."""
        own = {"client_id": self.person.user_key, "client_secret": SECRET}
        answer = self.person.people.client.post(path, data={**own, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def run(self, *words: str) -> str:
        """What a command says."""
        result = CliRunner().invoke(cli, words, env=self.env)
        assert result.exit_code == 0, result.output
        return result.output


def signer(token: object) -> str:
    return str(parts(str(token))[0]["kid"])


def active(items: list[dict[str, str]]) -> set[str]:
    return {each["kid"] for each in items if each["state"] == "active"}


def accepted(asker: Asker) -> set[str]:
    client = asker.person.people.client
    held = {each: {"Authorization": f"Bearer {each}"} for each in asker.tokens}
    return {signer(each) for each in held if client.get("/me", headers=held[each]).is_success}


def granted(asker: Asker) -> set[str]:
    """By a new token, and by what is said of those that there were."""
    new = asker.form("/oauth/token", grant_type="client_credentials")["access_token"]
    told = {each: asker.form("/oauth/introspect", token=each) for each in asker.tokens}
    return {signer(new), *(signer(each) for each in told if told[each]["active"])}


def published(asker: Asker) -> set[str]:
    answer = asker.person.people.client.get("/.well-known/jwks.json")
    return {each["kid"] for each in answer.json()["keys"]}


def ready(asker: Asker) -> set[str]:
    answer = asker.person.people.client.get("/readyz")
    assert answer.status_code == 200, answer.text
    checks = answer.json()["checks"]
    (detail,) = (each["detail"] for each in checks if each["name"] == "keys")
    return {detail.removesuffix(" signs")}


def measured(asker: Asker) -> set[str]:
    """The key whose age it is."""
    before = time.time()
    said = AGE.search(asker.person.people.client.get("/metrics").text)
    after = time.time()
    assert said
    age = float(said[1])
    since = {each["kid"]: each["active_from"] for each in asker.listed()}
    return {kid for kid, at in since.items() if before - age <= seconds(at) <= after - age}


GOES_BY: dict[str, Callable[[Asker], set[str]]] = {
    "any access token": accepted,
    "POST /authenticate": lambda asker: {signer(asker.person.again().access)},
    "POST /refresh": lambda asker: {signer(asker.person.refreshed().json()["access_token"])},
    "POST /oauth/…": granted,
    "/admin": lambda asker: set(SHOWN.findall(asker.visitor.page("/admin/keys"))),
    "GET …/jwks.json": published,
    "GET /keys": lambda asker: active(asker.listed()),
    "GET /readyz": ready,
    "GET /metrics": measured,
    "gatebook keys": lambda asker: active(
        [json.loads(line) for line in asker.run("keys", "list", "--json").splitlines()]
    ),
}
"""The ids of the keys by which each goes; who has a token from before is asked first."""


class Seen(NamedTuple):
    """By what each went before and after, and by what it should."""

    old: str
    new: str
    before: dict[str, set[str]]
    after: dict[str, set[str]]


@pytest.fixture(scope="module")
def seen(house: House) -> Seen:
    person, visitor = house.people.new("keys:read"), house.somebody("keys:read")
    env = settings(house.people.settings.database_url)
    asker = Asker(person, visitor, (person.access,), env)
    before = {label: goes_by(asker) for label, goes_by in GOES_BY.items()}
    asker.run("keys", "rotate", "--now")
    asker.person.get("/me")
    new = person.again().access
    asker = asker._replace(tokens=(person.access, new))
    after = {label: goes_by(asker) for label, goes_by in GOES_BY.items()}
    return Seen(signer(person.access), signer(new), before, after)


def test_everybody_who_reads_the_ring_is_tried() -> None:
    assert GOES_BY.keys() == set(OF_RING)


@pytest.mark.parametrize("label", OF_RING)
def test_a_reader_of_the_ring_follows_a_rotation(label: str, seen: Seen) -> None:
    assert seen.old != seen.new
    assert seen.before[label] == {seen.old}
    assert seen.after[label] == {seen.new}


def test_the_ring_is_kept_from_every_event_of_a_signing_key() -> None:
    (ring,) = (each for each in model().views if each.label == KEY_RING)
    assert set(model().sources(ring)) == {
        name for name in EVENTS if name.startswith("signing_key.")
    }
