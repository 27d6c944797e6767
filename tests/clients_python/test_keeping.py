"""What is kept between programs: whose it is, for how long it is good, and who may read it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from gatebook_client import ConfigurationError, FileCache, GatebookAuth
from gatebook_client.credentials import from_environment, from_profile
from gatebook_client.errors import CacheUnavailable
from gatebook_client.kept import Kept
from gatebook_client.testing import FakeIssuer
from gatebook_client.tokens import read_times

HOUR = 3600.0


def test_a_file_that_two_users_share_makes_neither_the_other(tmp_path: Path) -> None:
    issuer, path = FakeIssuer(), tmp_path / "c.json"
    ada, bob = issuer.user("ada"), issuer.user("bob")
    for _ in range(2):
        for user in (ada, bob):
            token = issuer.auth(user, cache=path).access_token()
            assert read_times(token).sub == user.user_key
    # A file that says whose it is and holds somebody else's tokens is believed as little.
    kept = msgspec.structs.replace(FileCache(path).read(), identity=ada.user_key)
    FileCache(path).write(kept)
    token = issuer.auth(ada, cache=path).access_token()
    assert read_times(token).sub == ada.user_key


def test_the_tokens_of_one_service_are_not_shown_to_another(tmp_path: Path) -> None:
    first, second, path = FakeIssuer(), FakeIssuer("https://other.test"), tmp_path / "c.json"
    user = first.user()
    second._users[user.user_key] = user
    first.auth(user, cache=path).access_token()
    auth = second.auth(user, cache=path)
    auth.access_token()
    assert second.requests == ["POST /authenticate"]
    assert FileCache(path).read().url == second.issuer


def test_a_session_that_was_given_is_not_another_one_that_is_kept(tmp_path: Path) -> None:
    issuer, path = FakeIssuer(), tmp_path / "c.json"
    sessions = []
    for name in ("ada", "bob"):
        begun = issuer.auth(issuer.user(name))
        begun.access_token()
        assert begun.tokens is not None
        given = GatebookAuth(
            issuer.issuer,
            refresh_token=begun.tokens.refresh_token,
            cache=path,
            transport=issuer.transport,
        )
        given.access_token()
        assert given.tokens is not None
        sessions.append(given.tokens.session_id)
    assert sessions[0] != sessions[1]


def test_a_profile_with_the_tokens_of_another_service_shows_them_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    FileCache(path).write(Kept("a", "gbr_" + "1" * 77, "https://first.test", "uk_x"))
    members = msgspec.json.decode(path.read_bytes())
    members |= {"url": "https://second.test", "user_key": "uk_x", "user_secret": "y"}
    path.write_bytes(msgspec.json.encode(members))
    assert from_profile(str(path)).credentials.refresh_token is None
    with pytest.raises(ConfigurationError, match="another service"):
        from_environment(
            {
                "GATEBOOK_CLIENT_URL": "https://third.test",
                "GATEBOOK_CLIENT_PROFILE": str(path),
            }
        )


def test_the_environment_names_a_folder_by_a_slash(tmp_path: Path) -> None:
    issuer = FakeIssuer()
    user = issuer.user()
    given = {
        "GATEBOOK_CLIENT_URL": issuer.issuer,
        "GATEBOOK_CLIENT_USER_KEY": user.user_key,
        "GATEBOOK_CLIENT_USER_SECRET": user.user_secret,
        "GATEBOOK_CLIENT_CACHE": f"{tmp_path}/tokens/",
    }
    GatebookAuth.from_environment(given, transport=issuer.transport).access_token()
    assert len([*tmp_path.glob("tokens/*.json")]) == 1
    with pytest.raises(ConfigurationError, match="empty path"):
        GatebookAuth.from_environment({**given, "GATEBOOK_CLIENT_CACHE": ""})


@pytest.mark.parametrize("off", [-HOUR, -HOUR / 2, 0.0, HOUR / 2, HOUR])
@pytest.mark.parametrize("started_again", [True, False])
def test_a_clock_that_is_set_makes_no_kept_token_good_for_longer(
    off: float, started_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written while the clock was wrong, read 40 minutes later when it is right."""
    now, up = time.time(), 1000.0
    monkeypatch.setattr(time, "time", lambda: now + off)
    monkeypatch.setattr("gatebook_client.kept._since_boot", lambda: ("one", up))
    kept = Kept("a").dated(HOUR)
    assert kept.still_left == HOUR
    run = ("two", 10.0) if started_again else ("one", up + 2400)
    monkeypatch.setattr("gatebook_client.kept._since_boot", lambda: run)
    monkeypatch.setattr(time, "time", lambda: now + 2400)
    if not started_again or off == 0.0:
        assert kept.still_left == pytest.approx(1200, abs=0.01)
    else:
        assert 0.0 <= kept.still_left <= HOUR
    # A clock that went back since says nothing.
    monkeypatch.setattr("gatebook_client.kept._since_boot", lambda: ("three", 1.0))
    monkeypatch.setattr(time, "time", lambda: now + off - 1)
    assert kept.still_left == 0.0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_holds_no_lock_of_the_one_it_came_from(tmp_path: Path) -> None:
    """As long as it lives; not even when the other one ends while it renews."""
    cache = FileCache(tmp_path / "c.json", lock_seconds=5)
    read, write = os.pipe()
    descriptors = len([*Path("/proc/self/fd").iterdir()])
    with cache.locked():
        child = os.fork()
        if child == 0:  # pragma: no cover - counted in the other process
            # The pipe's two ends and whatever else was open; without the lock file's.
            same = len([*Path("/proc/self/fd").iterdir()]) == descriptors
            os.write(write, b"y" if same else b"n")
            signal.pause()
        said = os.read(read, 1)
    try:
        assert said == b"y"
        with FileCache(tmp_path / "c.json", lock_seconds=0).locked():
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "c.json.lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(CacheUnavailable, match="can't be locked"),
        FileCache(tmp_path / "c.json").locked(),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()
