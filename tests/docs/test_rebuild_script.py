"""The script that rebuilds every projection over HTTP, as its page has it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from projections.live import newest, read_pointers
from projections.registry import PROJECTIONS
from tests.docs.applying import apply
from tests.docs.pages import DOCS, fences
from tests.http.people import WAIT, People, Person
from tests.running import running, settings
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = DOCS / "how-to" / "rebuild-projections.md"
NAMES = [each.name for each in newest(PROJECTIONS)]
DONE = re.compile(r"^(\w+) (sha256:[0-9a-f]{64})$", re.MULTILINE)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (text,) = [each.text for each in fences(PAGE) if each.language == "python"]
    apply(text, tmp_path)
    return tmp_path / "rebuild_all.py"


@pytest.fixture
def operator(database_url: str) -> Iterator[Person]:
    given = settings(database_url)
    with running(given) as started:
        here = f"http://127.0.0.1:{started.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            yield People(client, given).new("projections:read", "projections:write")


def run(script: Path, operator: Person) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, str(operator.people.client.base_url).rstrip("/")],
        env={"TOKEN": operator.access, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_rebuilds_each_and_tells_its_digest(script: Path, operator: Person) -> None:
    first, second = run(script, operator), run(script, operator)
    assert (first.returncode, first.stderr) == (0, "")
    told = DONE.findall(first.stdout)
    assert [name for name, _ in told] == NAMES
    assert DONE.findall(second.stdout) == told, "nothing happened between"
    items = operator.get("/projections").json()["items"]
    assert [(each["name"], each["digest"]) for each in items] == told
    with operator.people.store() as store, store.storage.snapshot() as rows:
        assert {each.build for each in read_pointers(rows).values()} == {2}


def test_it_ends_at_one_whose_rows_differ(
    script: Path, operator: Person, database_url: str
) -> None:
    other = operator.people.registered().user_key
    with intrude(database_url) as intruder:
        sql = "UPDATE user_directory_v1 SET permissions = 'admin' WHERE user_key = ?"
        intruder.run(sql, (other,))
    ended = run(script, operator)
    assert (ended.returncode, DONE.findall(ended.stdout)) == (1, [])
    assert ended.stderr == (
        f"user_directory: The live table isn't what the log says: {other} differs in permissions\n"
    )
    with intrude(database_url) as intruder:
        intruder.run(sql.replace("admin", ""), (other,))
    assert run(script, operator).returncode == 0
