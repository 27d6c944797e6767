"""openid-client and oauth4webapi do it all too, on Node: each program in `node/` is run there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.oauth_clients import on_node
from tests.oauth_clients.program import SCOPE, Program

LIBRARIES = ("oauth4webapi", "openid_client")


def counted(printed: str, what: str) -> int:
    """What the last lines say of all tests."""
    (count,) = re.findall(rf"^# {what} (\d+)$", printed, re.MULTILINE)
    return int(count)


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_of_node_does_it_all(program: Program, library: str, way: str) -> None:
    done = on_node.run(
        on_node.found(),
        *("--test", "--test-reporter=tap", on_node.FOLDER / f"{library}.test.mjs"),
        ISSUER=program.issuer,
        CLIENT_ID=program.client_id,
        CLIENT_SECRET=program.secret,
        REFRESH_TOKEN=program.refresh_token,
        SCOPE=SCOPE,
        WAY=way,
    )
    assert done.status == 0, done.printed
    passed, tests = (counted(done.printed, each) for each in ("pass", "tests"))
    assert passed == tests >= 7, done.printed


def test_every_program_of_node_is_run() -> None:
    programs = {path.name for path in on_node.FOLDER.glob("*.test.mjs")}
    assert programs == {f"{library}.test.mjs" for library in LIBRARIES}


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
@pytest.mark.parametrize("version", ["", "v18.20.8", "no version"])
def test_without_a_node_the_tests_are_skipped_and_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, outcome, version: str
) -> None:
    if version:
        stub = tmp_path / "node"
        stub.write_text(f"#!/bin/sh\necho '{version}'\n")
        stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="NOT tried: there is no Node 20"):
        on_node.found()


def test_the_lock_of_node_names_versions_and_hashes_and_no_address() -> None:
    asked, locked = (
        json.loads((on_node.FOLDER / name).read_text(encoding="utf-8"))
        for name in ("package.json", "package-lock.json")
    )
    packages = {name: each for name, each in locked["packages"].items() if name}
    for name, version in asked["dependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
