"""Where credentials come from: arguments, the environment, a profile; and files that leak none."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatebook_client import ConfigurationError, FileCache, GatebookAuth
from gatebook_client.credentials import from_environment, from_profile, profile_path
from gatebook_client.errors import CacheUnavailable
from gatebook_client.kept import Kept
from gatebook_client.testing import FakeIssuer

URL = "https://auth.example"


def profile(path: Path, **members: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode({"url": URL, **members}))
    path.chmod(0o600)
    return path


def test_the_environment_says_who_and_where(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a quiet rope\n")
    found = from_environment(
        {
            "GATEBOOK_CLIENT_URL": URL,
            "GATEBOOK_CLIENT_USER_KEY": "uk_x",
            "GATEBOOK_CLIENT_USER_SECRET_FILE": str(secret),
            "GATEBOOK_CLIENT_CACHE": str(tmp_path / "c"),
            "GATEBOOK_HOST": "ignored",
        }
    )
    assert found.url == URL
    assert found.credentials.user_secret == "a quiet rope"
    assert found.cache is not None
    assert "rope" not in repr(found)
    assert GatebookAuth.from_environment({"GATEBOOK_CLIENT_URL": URL, **KEY}).url == URL


KEY = {"GATEBOOK_CLIENT_USER_KEY": "uk_x", "GATEBOOK_CLIENT_USER_SECRET": "y"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"GATEBOOK_CLIENT_URl": URL}, "unknown"),
        (KEY, "URL is missing"),
        ({"GATEBOOK_CLIENT_URL": URL, "GATEBOOK_CLIENT_USER_SECRET": "y"}, "takes its user_key"),
        ({"GATEBOOK_CLIENT_URL": URL}, "or a refresh_token"),
        ({**KEY, "GATEBOOK_CLIENT_PROFILE": "PROFILE"}, "somebody else"),
        ({"GATEBOOK_CLIENT_USER_KEY_FILE": "/nowhere"}, "/nowhere"),
        ({"GATEBOOK_CLIENT_PROFILE": "PROFILE", "GATEBOOK_CLIENT_CACHE": "/x"}, "kept in it"),
    ],
)
def test_an_environment_that_is_wrong_says_why(
    given: dict[str, str], why: str, tmp_path: Path
) -> None:
    path = profile(tmp_path / "p.json", user_key="uk_x", user_secret="y")
    given = {name: str(path) if value == "PROFILE" else value for name, value in given.items()}
    with pytest.raises(ConfigurationError, match=why):
        from_environment(given)


@pytest.mark.parametrize("seconds", [float("nan"), -1.0])
@pytest.mark.parametrize("name", ["margin", "patience", "timeout"])
def test_what_is_no_span_of_time_is_refused_at_once(name: str, seconds: float) -> None:
    options: dict[str, Any] = {name: seconds}
    with pytest.raises(ConfigurationError, match=name):
        GatebookAuth(URL, user_key="uk_x", user_secret="y", **options)
    with pytest.raises(ConfigurationError, match="lock_seconds"):
        FileCache("tokens.json", lock_seconds=seconds)


def test_a_profile_is_found_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert profile_path() == tmp_path / "gatebook-client" / "default.json"
    profile(profile_path("work"), user_key="uk_x", user_secret="y")
    assert from_profile("work").credentials.user_key == "uk_x"
    assert from_environment({"GATEBOOK_CLIENT_PROFILE": "work"}).url == URL
    with pytest.raises(ConfigurationError, match="gatebook-client login"):
        from_profile()


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o606, 0o644])
def test_a_profile_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = profile(tmp_path / "p.json", user_key="uk_x", user_secret="y")
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        GatebookAuth.from_profile(str(path))


def test_a_profile_that_is_a_link_or_no_profile_is_refused(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.json", user_key="uk_x", user_secret="y")
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(ConfigurationError, match="can't be read"):
        from_profile(str(link))
    path.write_text("[]")
    with pytest.raises(ConfigurationError, match="is no profile"):
        from_profile(str(path))


def test_what_is_kept_is_for_its_owner_alone_and_leaves_the_rest(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.json", user_key="uk_x")
    before = os.umask(0)
    try:
        FileCache(path).write(Kept("a", "b", "u", "i"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileCache(path).read() == Kept("a", "b", "u", "i")
    assert msgspec.json.decode(path.read_bytes())["user_key"] == "uk_x"
    assert [each.name for each in tmp_path.iterdir()] == ["p.json"]


def test_a_file_with_something_else_in_it_holds_no_tokens(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.json")
    for text in (b"", b"{", b"[]", b'{"tokens": 7}', b"\xff"):
        path.write_bytes(text)
        assert FileCache(path).read() == Kept()


def test_a_folder_holds_a_file_for_each_user_and_service(tmp_path: Path) -> None:
    issuer = FakeIssuer()
    for _ in range(2):
        issuer.auth(cache=f"{tmp_path}/cache/").access_token()
    assert len([*tmp_path.glob("cache/*.json")]) == 2
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def hold(path: str, held: multiprocessing.synchronize.Event) -> None:  # type: ignore[name-defined]
    with FileCache(path).locked():
        held.set()
        signal.pause()  # until it is killed


def test_a_lock_goes_with_its_process_and_is_not_waited_for_without_end(tmp_path: Path) -> None:
    path = str(tmp_path / "c.json")
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=hold, args=(path, held))
    holder.start()
    assert held.wait(30)
    with (
        pytest.raises(CacheUnavailable, match="another process"),
        FileCache(path, lock_seconds=0.1).locked(),
    ):
        pass
    holder.kill()
    holder.join()
    with FileCache(path, lock_seconds=5).locked():
        pass
    holder.close()


def test_a_secret_that_is_no_text_is_not_repeated(tmp_path: Path) -> None:
    """Security rule 19."""
    (tmp_path / "secret").write_bytes(b"a quiet rope \xff")
    given = {"GATEBOOK_CLIENT_USER_SECRET_FILE": str(tmp_path / "secret")}
    with pytest.raises(ConfigurationError, match="UTF-8") as refused:
        from_environment(given)
    assert refused.value.__suppress_context__
    assert "rope" not in str(refused.value)


def test_a_profile_that_is_gone_is_not_written_again(tmp_path: Path) -> None:
    issuer = FakeIssuer()
    user = issuer.user()
    path = profile(
        tmp_path / "p.json",
        url=issuer.issuer,
        user_key=user.user_key,
        user_secret=user.user_secret,
    )
    auth = GatebookAuth.from_profile(str(path), transport=issuer.transport)
    path.unlink()
    assert auth.access_token()
    assert not path.exists()
