"""The files of a deployment that the page of PostgreSQL shows: read by whom they are for."""

from __future__ import annotations

import base64
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.limits import Limits
from app.settings import SETTINGS
from tests.docs.pages import DOCS, fences
from tests.running import MASTER, running

PAGE = DOCS / "how-to" / "run-on-postgresql.md"
SHOWN = {
    each.text.partition("\n")[0].removeprefix("# "): each.text
    for each in fences(PAGE)
    if each.language == "ini"
}
SETTINGS_FILE = "/etc/gatebook/environment"
UNIT_FILE = "/etc/systemd/system/gatebook.service"

URL = "postgresql://gatebook:choose-another@db.example.org/gatebook"


def given() -> dict[str, str]:
    """The variables of the settings' file."""
    lines = SHOWN[SETTINGS_FILE].splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(SHOWN[UNIT_FILE])
    return parser


def test_both_files_are_shown() -> None:
    assert set(SHOWN) == {SETTINGS_FILE, UNIT_FILE}


def test_a_service_starts_with_these_settings(postgres_url: str, tmp_path: Path) -> None:
    secrets = {
        "/etc/gatebook/master.key": base64.b64encode(MASTER).decode(),
        "/etc/gatebook/database_url": postgres_url,
    }
    environment = given()
    for there, value in secrets.items():
        here = tmp_path / Path(there).name
        here.write_text(f"{value}\n")
        (name,) = (each for each in environment if environment[each] == there)
        environment[name] = str(here)
    environment |= {"GATEBOOK_PORT": "0", "GATEBOOK_LOG_FORMAT": "json"}
    # The tests' server is one process.
    assert int(environment.pop("GATEBOOK_WORKERS")) > 1
    with running(environment) as server, httpx.Client() as client:
        at = f"http://127.0.0.1:{server.port}"
        assert client.get(f"{at}/readyz").status_code == 200
        metadata = client.get(f"{at}/.well-known/oauth-authorization-server").json()
        assert metadata["issuer"] == environment["GATEBOOK_ISSUER"]
        new = {"user_id": "ada", "user_secret": "walnut orbit teacup"}
        assert client.post(f"{at}/register", json=new).json()["code"] == "registration_closed"


def test_the_settings_are_looked_through_as_a_whole(tmp_path: Path) -> None:
    """With more than one worker, too."""
    for name, value in (("master.key", base64.b64encode(MASTER).decode()), ("database_url", URL)):
        (tmp_path / name).write_text(value)
    environment = {
        name: value.replace("/etc/gatebook", str(tmp_path)) for name, value in given().items()
    }
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "config", "check"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_unit_starts_the_service_with_the_settings_and_lets_it_end() -> None:
    service = unit()["Service"]
    assert service["EnvironmentFile"] == SETTINGS_FILE
    assert service["ExecStart"].split() == ["/opt/gatebook/bin/gatebook", "serve"]
    assert int(service["TimeoutStopSec"]) > Limits().drain_s
    assert "KillSignal" not in service  # SIGTERM
    files = {each.name for each in SETTINGS} | {each.file_name for each in SETTINGS}
    assert set(given()) <= files


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("There is no systemd here: the unit was NOT read by it.")
    here = tmp_path / "gatebook.service"
    text = SHOWN[UNIT_FILE].replace("/opt/gatebook/bin/gatebook", "/bin/true")
    here.write_text(text.replace("User=gatebook", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if re.search("gatebook", line)]
    assert said == []
