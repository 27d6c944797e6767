"""What the client's README shows runs, and so does the wheel in an environment of its own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.clients_python.served import Person, Served
from tests.docs.pages import ROOT, fences
from tests.packaging.test_wheel import sources

CLIENT = ROOT / "clients" / "python"
README = CLIENT / "README.md"
SECONDS = 120


def program(service: Served, person: Person, folder: Path) -> str:
    """The fences of the README in their order, with what they take as given before them."""
    given = {
        "URL": service.url,
        "USER_KEY": person.user_key,
        "USER_SECRET": person.secret,
        "CACHE": str(folder / "tokens.json"),
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in given.items())
    return head + "".join(each.text for each in fences(README) if each.language == "python")


def run(python: Path | str, arguments: list[str], folder: Path, path: str = "") -> str:
    """What a program prints; it must end well, and warn of nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEBOOK_")}
    done = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_the_readme_shows_runs(service: Served, person: Person, tmp_path: Path) -> None:
    assert {each.language for each in fences(README)} == {"python"}
    script = tmp_path / "readme.py"
    script.write_text(program(service, person, tmp_path), encoding="utf-8")
    said = run(sys.executable, ["-W", "error", str(script)], tmp_path, str(CLIENT))
    assert "The session of this token was ended." in said
    assert "expired" in said.splitlines()
    assert f"{person.user_key} {person.user_id} False" in said


def test_the_tests_that_the_page_shows_pass(tmp_path: Path) -> None:
    for each in fences(ROOT / "docs" / "how-to" / "protect-a-service.md"):
        name = each.text.partition("\n")[0].removeprefix("# ")
        if each.language == "python":
            (tmp_path / name).write_text(each.text, encoding="utf-8")
    plugins = ["-p", "no:cacheprovider", "-p", "gatebook_client.pytest_plugin"]
    arguments = ["-m", "pytest", "-W", "error", *plugins, "test_orders.py"]
    assert "2 passed" in run(sys.executable, arguments, tmp_path, str(CLIENT))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(into)]
    built = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = into.iterdir()
    return made


def test_whatever_is_imported_is_declared() -> None:
    said = tomllib.loads((CLIENT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = [each for some in said["optional-dependencies"].values() for each in some]
    declared = {re.split(r"\W", each)[0] for each in [*said["dependencies"], *more]}
    imported = set()
    for path in (CLIENT / "gatebook_client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            imported |= {(each or "").partition(".")[0] for each in names}
    # The last one is a part of Django.
    known = {"gatebook_client", "pytest", "asgiref"}
    outside = imported - set(sys.stdlib_module_names) - known
    assert outside <= declared


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.name.startswith("gatebook_client-")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    expected = {
        name.removeprefix("clients/python/") for name in sources("clients/python/gatebook_client")
    }
    assert "gatebook_client/py.typed" in expected
    assert {name for name in held if ".dist-info/" not in name} == expected


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and what it asks for, and nothing of ours."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    python = folder / "bin" / "python"
    # What it depends on is taken from here: the tests install nothing from elsewhere.
    site = Path(
        run(
            python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
        ).strip()
    )
    here = Path(sysconfig.get_path("purelib"))
    for name in DEPENDENCIES:
        for found in here.iterdir():
            if re.split(r"[-.]", found.name, maxsplit=1)[0].lower() == name:
                (site / found.name).symlink_to(found)
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--no-index", "--disable-pip-version-check", str(wheel)], check=True)
    return python


DEPENDENCIES = (
    *("anyio", "certifi", "cffi", "_cffi_backend", "cryptography", "h11", "httpcore"),
    *("httpx", "idna", "msgspec", "pycparser", "sniffio", "typing_extensions"),
)
"""Of the client's dependencies, and theirs: pip checks that none is missing."""


def test_the_wheel_works_in_an_empty_environment(
    empty: Path, service: Served, person: Person, tmp_path: Path
) -> None:
    names = run(
        empty, ["-c", "import gatebook_client, sys; print(gatebook_client.__file__)"], tmp_path
    )
    assert names.startswith(str(empty.parents[1]))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, httpx\n"
        "from gatebook_client import GatebookAuth, Verifier\n"
        "url, key = sys.argv[1:]\n"
        "auth = GatebookAuth(url, user_key=key, user_secret=sys.stdin.read())\n"
        "assert httpx.get(f'{url}/me', auth=auth).json()['user_key'] == key\n"
        "verifier = Verifier(url)\n"
        "print(verifier.verify(auth.access_token()).user_key)\n"
        "verifier.close()\n"
        "assert not {'app', 'domain', 'httpx2', 'requests', 'jwt'} & set(sys.modules)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [empty, str(script), service.url, person.user_key],
        input=person.secret,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{person.user_key}\n"), done.stderr
    command = empty.with_name("gatebook-client")
    assert "login" in run(command, ["--help"], tmp_path)
