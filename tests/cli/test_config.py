"""`gatebook config`, and what the settings alone make a command refuse."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.settings import SETTINGS
from tests.cli.conftest import MASTER_KEY, Gatebook, items

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_KEY = base64.b64encode(b"canary-of-a-master-key-32-bytes!").decode()


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    made = {each.name for each in tmp_path.iterdir()} - {"canary.url", "gatebook.db.serve"}
    assert made == set(), "settings are read without touching the store"


def test_every_value_is_shown_with_where_it_came_from(gatebook: Gatebook, tmp_path: Path) -> None:
    """Security rule 19: secrets are masked."""
    url = "postgresql://gatebook:canary-password@db.example.org/gatebook"
    (tmp_path / "canary.url").write_text(url)
    given: dict[str, Any] = {
        "MASTER_KEY_PREVIOUS": OTHER_KEY,
        "PORT": "8001",
        "DATABASE_URL_FILE": "canary.url",
    }
    given |= {"DATABASE_URL": None}
    results = [gatebook("config", "show", *args, **given) for args in ((), ("--json",))]
    shown = {item["name"]: item for item in items(results[1])}
    assert list(shown) == [setting.name for setting in SETTINGS]
    assert {tuple(item) for item in shown.values()} == {("name", "value", "source", "meaning")}
    assert [shown[f"GATEBOOK_{name}"]["value"] for name in ("PORT", "ISSUER", "MASTER_KEY")] == [
        "8001",
        "http://127.0.0.1:8001",
        "********",
    ]
    assert [shown[f"GATEBOOK_{name}"]["source"] for name in ("PORT", "HOST", "DATABASE_URL")] == [
        "environment",
        "default",
        "file canary.url",
    ]
    for result in results:
        assert "gatebook:********@db.example.org" in result.stdout
        for canary in ("canary-password", MASTER_KEY, OTHER_KEY):
            assert canary not in result.output


def test_good_settings_are_good(gatebook: Gatebook) -> None:
    result = gatebook("config", "check")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "The settings are good.\n")


@pytest.mark.parametrize(
    "command", ["config check", "serve", "doctor", "users create ada --secret-stdin"]
)
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"HOST": "0.0.0.0"}, "GATEBOOK_ISSUER must be set"),
        (
            {"HOST": "0.0.0.0", "ISSUER": "https://auth.example.org", "MASTER_KEY": None},
            "openssl rand -base64 32",
        ),
        ({"ACCESS_TOKEN_TTL": "3601"}, "GATEBOOK_ACCESS_TOKEN_TTL is '3601'"),
        ({"ACESS_TOKEN_TTL": "60"}, "Did you mean GATEBOOK_ACCESS_TOKEN_TTL?"),
        ({"REFRESH_ROTATION": "never"}, "GATEBOOK_REFRESH_ROTATION is 'never'"),
        ({"WORKERS": "2"}, "needs PostgreSQL"),
        ({"MASTER_KEY": "canary-master"}, "must be 32 bytes"),
        ({"PORT": "eighty"}, "GATEBOOK_PORT is 'eighty'"),
    ],
)
def test_settings_that_can_t_be_used_are_refused_with_what_to_do(
    gatebook: Gatebook, command: str, settings: dict[str, Any], why: str
) -> None:
    """Security rule 23."""
    result = gatebook(*command.split(), **settings)
    assert result.exit_code == 2
    told = result.stdout if command == "doctor" else result.stderr
    assert why in " ".join(told.split())
    assert "canary" not in result.output
    assert command == "doctor" or result.stdout == ""
