"""A service on a restored store: nothing of before is believed, and readers are told so."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from app.archive.importing import Place, restore
from app.archive.new_file import new_file
from app.archive.writing import back_up
from app.settings import load
from app.store import storage_of
from app.vault import Vault
from tests.http.conftest import Starting
from tests.http.steps import SECRET, authenticate, me, problem, refresh, register
from tests.running import MASTER, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def backup(database_url: str, tmp_path: Path) -> Iterator[Backup]:
    with ExitStack() as stack:
        yield Backup(database_url, tmp_path, stack)


class Backup:
    """A service, its backup, and a service on what was restored of that."""

    def __init__(self, url: str, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._url = url
        self._stack = stack
        self.before = self._started(url)

    def write(self) -> None:
        """With the service running."""
        storage = storage_of(self._url)
        with storage.snapshot() as rows, new_file(self._directory / "backup") as file:
            back_up(rows, file, lambda _: None, Vault(MASTER).load_ring(rows).log)
        storage.close()

    def restored(self):
        """A client of a service that goes on from it."""
        url = f"sqlite:///{self._directory}/restored.db"
        storage = storage_of(url)
        place = Place(storage, Vault(MASTER), load(settings(url)).settings)
        restore(place, self._directory / "backup", (), lambda _: None)
        storage.close()
        return self._started(url)

    def _started(self, url: str):
        starting = Starting(url)
        self._stack.callback(starting.stop)
        return starting()


def test_a_token_of_before_is_dead_whether_it_was_revoked_since_or_not(backup: Backup) -> None:
    api = backup.before
    ada = register(api)
    kept, revoked = authenticate(api, ada), authenticate(api, ada)
    backup.write()
    revoke = api.post("/revoke", json={"refresh_token": revoked["refresh_token"]})
    assert revoke.status_code == 200
    later = authenticate(api, ada)
    there = backup.restored()
    for tokens in (kept, revoked):
        body = problem(refresh(there, tokens["refresh_token"]), 401, "invalid_token", "reason")
        assert body["reason"] == "revoked"
    assert refresh(there, later["refresh_token"]).status_code == 401
    for tokens in (kept, revoked, later):
        assert me(there, tokens["access_token"]).status_code == 401
    anew = authenticate(there, ada, SECRET)
    assert me(there, anew["access_token"]).json()["user_key"] == ada


def test_a_reader_with_a_place_of_before_is_told_that_the_log_changed(backup: Backup) -> None:
    api = backup.before
    ada = register(api)
    for _ in range(3):
        tokens = authenticate(api, ada)
        api.post("/revoke", json={"refresh_token": tokens["refresh_token"]})
    place = api.get("/revocations?limit=1").json()["next"]
    tokens = authenticate(api, ada)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    of_me = api.get("/me/events?limit=1", headers=bearer).json()["next"]
    backup.write()
    there = backup.restored()
    problem(there.get(f"/revocations?after={place}"), 409, "log_changed")
    problem(there.get(f"/revocations/stream?after={place}"), 409, "log_changed")
    resumed = there.get("/revocations/stream", headers={"Last-Event-ID": place})
    problem(resumed, 409, "log_changed")
    anew = {"Authorization": f"Bearer {authenticate(there, ada)['access_token']}"}
    problem(there.get(f"/me/events?after={of_me}", headers=anew), 409, "log_changed")
    log_ids = {each.get("/version").json()["log_id"] for each in (api, there)}
    assert len(log_ids) == 2
