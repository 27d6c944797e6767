"""The JavaScript client: what its own tests say, its types, and what it is packed as."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.clients_javascript import package
from tests.faults.holding import holds
from tests.oauth_clients import on_node
from tests.prove import client_javascript

IN_A_BROWSER = "test/browser.test.ts"


@pytest.fixture(scope="module")
def built() -> str:
    """A Node, and the package built."""
    return package.built()


@pytest.mark.parametrize(
    ("chosen", "passed"),
    [
        pytest.param(["--exclude", IN_A_BROWSER], 200, id="not in a browser"),
        pytest.param([IN_A_BROWSER, "-t", "share rotating"], 2, id="two tabs"),
        pytest.param([IN_A_BROWSER], 10, id="in a browser", marks=pytest.mark.long),
    ],
)
def test_the_client_does_what_its_tests_say(built: str, chosen: list[str], passed: int) -> None:
    """Against a service that runs; in a browser, where there is one."""
    done = package.run("npm", "test", "--", *chosen)
    assert done.status == 0, done.printed
    found = re.search(r"Tests +(\d+) passed", done.printed)
    assert found, done.printed
    assert int(found[1]) >= passed, done.printed


def test_it_was_tried_in_a_page() -> None:
    if not package.CHROMIUM.exists():
        on_node.lack("The JavaScript client was", f"in a page: there is no {package.CHROMIUM} here")
    assert os.access(package.CHROMIUM, os.X_OK)


@pytest.mark.usefixtures("built")
def test_programs_and_tabs_that_share_a_session_rotate_one_token_without_reuse(
    sqlite_url: str,
) -> None:
    """A long proof of `tests.prove` in its short form."""
    test_it_was_tried_in_a_page()
    holds(client_javascript, sqlite_url)


@pytest.mark.parametrize("script", ["types", "lint"])
def test_its_types_and_its_package_are_in_order(built: str, script: str) -> None:
    """By tsc, strict, which also checks the tests of types; by publint and attw."""
    done = package.run("npm", "run", script)
    assert done.status == 0, done.printed


def test_the_lock_names_versions_and_hashes_and_no_address() -> None:
    asked, locked = (
        json.loads((package.FOLDER / name).read_text(encoding="utf-8"))
        for name in ("package.json", "package-lock.json")
    )
    packages = {name: each for name, each in locked["packages"].items() if name}
    assert "dependencies" not in asked
    for name, version in asked["devDependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
    for name, each in packages.items():
        assert each.get("inBundle") or each["integrity"].startswith("sha512-"), name
        assert "resolved" not in each, name


def test_every_behaviour_that_clients_share_has_a_name_and_an_outcome() -> None:
    table = json.loads((package.FOLDER.parent / "behaviours.json").read_text(encoding="utf-8"))
    names = [each["name"] for each in table["behaviours"]]
    assert len(set(names)) == len(names) >= 20
    for each in table["behaviours"]:
        assert any("outcome" in step for step in each["steps"]), each["name"]
        assert each["requests"], each["name"]
    for each in table["revocations"]:
        assert any("outcome" in step for step in each["steps"]), each["name"]
    assert {each["outcome"] for each in table["tokens"]} == {
        "accepted",
        "token_expired",
        "token_refused",
    }
