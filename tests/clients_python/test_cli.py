"""`gatebook-client`: a session in a profile, for scripts; secrets never on a command line."""

from __future__ import annotations

import io
import json
import time
from functools import partial
from pathlib import Path

import pytest

from gatebook_client import FileCache, GatebookAuth
from gatebook_client.cli import main
from gatebook_client.testing import FakeIssuer
from tests.clients_python.served import Person, Served


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "gatebook-client" / "default.json"


def log_in(service: Served, person: Person, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{person.secret}\n"))
    given = ["login", "--url", service.url, "--user-id", person.user_id, "--secret-stdin"]
    return main([*given, *more])


def test_a_session_is_begun_used_shown_and_ended(
    service: Served,
    person: Person,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert log_in(service, person, monkeypatch) == 0
    said = capfdbinary.readouterr()
    assert said.out == b""
    assert home.stat().st_mode & 0o777 == 0o600
    assert person.secret not in home.read_text()

    assert main(["token"]) == 0
    token = capfdbinary.readouterr().out.decode().strip()
    assert service.api.get("/me", headers={"Authorization": f"Bearer {token}"}).is_success

    assert main(["status", "--json"]) == 0
    status = json.loads(capfdbinary.readouterr().out)
    assert (status["user_key"], status["user_id"]) == (person.user_key, person.user_id)
    assert token not in json.dumps(status)

    for target in ("/me", f"{service.url}/me"):
        assert main(["call", target]) == 0
        assert json.loads(capfdbinary.readouterr().out)["user_key"] == person.user_key
    assert main(["call", "/users"]) == 1
    assert b"403" in capfdbinary.readouterr().err

    assert main(["logout"]) == 0
    assert not home.exists()
    answer = service.api.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["reason"] == "revoked"
    assert main(["token"]) == 2
    assert b"gatebook-client login" in capfdbinary.readouterr().err


def test_an_ended_session_says_how_to_go_on(
    service: Served,
    person: Person,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert log_in(service, person, monkeypatch) == 0
    kept = json.loads(home.read_text())["tokens"]
    service.api.post("/revoke", json={"refresh_token": kept["refresh_token"]})
    assert main(["status"]) == 1
    assert "gatebook-client login" in capsys.readouterr().err


def test_with_its_secret_kept_a_profile_begins_sessions_itself(
    service: Served, person: Person, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(service, person, monkeypatch, "--keep-secret") == 0
    kept = json.loads(home.read_text())["tokens"]
    service.api.post("/revoke", json={"refresh_token": kept["refresh_token"]})
    assert main(["status"]) == 0


def test_refusals_have_their_exit_codes(
    service: Served,
    person: Person,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert log_in(service, person._replace(secret="not the right one"), monkeypatch) == 1
    assert "invalid_credentials" in capsys.readouterr().err
    assert not home.exists()
    assert main(["login", "--url", "http://auth.example", "--user-key", "uk_x"]) == 2
    assert log_in(service, person, monkeypatch) == 0
    capsys.readouterr()
    assert main(["call", "http://elsewhere.example/"]) == 2
    assert "unencrypted" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["login", "--user-secret", "x"])
    assert ended.value.code == 2


def log_in_to(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> int:
    """With a stand-in that is served."""
    user = issuer.user("grace")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{user.user_secret}\n"))
    return main(
        ["login", "--url", issuer.issuer, "--user-key", user.user_key, "--secret-stdin"],
    )


def test_a_token_goes_over_plain_http_to_nobody_but_a_service_on_this_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer = FakeIssuer()
    with issuer.serve() as url:
        assert log_in_to(issuer, monkeypatch) == 0
        port = url.rpartition(":")[2]
        assert main(["call", "/nothing"]) == 1  # 404: it was asked
        assert main(["call", f"http://localhost:{port}/nothing"]) == 1
        assert main(["call", f"http://user@elsewhere.example:{port}/"]) == 2
        members = json.loads(home.read_text())
        members["url"] = members["tokens"]["url"] = f"https://localhost:{port}"
        home.write_text(json.dumps(members))
        asked = list(issuer.requests)
        for target in (f"http://localhost:{port}/", f"http://127.0.0.1:{port}/", "http://[bad"):
            assert main(["call", target]) == 2
        assert issuer.requests == asked
    assert "unencrypted" in capsys.readouterr().err


def test_a_login_ends_the_session_that_it_replaces(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer = FakeIssuer()
    with issuer.serve():
        assert log_in_to(issuer, monkeypatch) == 0
        assert log_in_to(issuer, monkeypatch) == 0
        assert [each.ended for each in issuer._sessions.values()] == [True, False]
        assert main(["token"]) == 0


def test_a_login_says_how_long_its_token_is_good(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the program may be wrong by hours."""
    issuer = FakeIssuer()
    real = time.time
    with issuer.serve():
        assert log_in_to(issuer, monkeypatch) == 0
        kept = json.loads(home.read_text())["tokens"]
        assert issuer.ttl - 10 < kept["left"] <= issuer.ttl
        for off in (-7200.0, 7200.0):
            monkeypatch.setattr(time, "time", lambda off=off: real() + off)
            assert GatebookAuth.from_profile().access_token() == kept["access_token"]


def test_an_address_that_is_none_is_said_to_be_so_and_not_repeated(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in ("http://[bad", "https://ada:SECRETX@h?x", "ada:SECRETX@h", "https://a b:x"):
        assert main(["login", "--url", url, "--user-key", "uk_x"]) == 2
    assert "SECRETX" not in capsys.readouterr().err
    with pytest.raises(ValueError, match="user or a password") as raised:
        GatebookAuth("https://ada:SECRETX@h?x", user_key="uk_x", user_secret="y")
    assert "SECRETX" not in str(raised.value)


def test_a_logout_waits_for_who_renews(
    service: Served, person: Person, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is revoked is what is kept then, and nothing is written after that."""
    assert log_in(service, person, monkeypatch, "--keep-secret") == 0
    auth = GatebookAuth.from_profile()
    with FileCache(home).locked():
        monkeypatch.setattr("gatebook_client.cli.FileCache", partial(FileCache, lock_seconds=0.0))
        assert main(["logout"]) == 6
        assert home.exists()
    assert main(["logout"]) == 0
    assert auth.access_token()
    assert not home.exists()
