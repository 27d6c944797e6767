"""The wheel that is built holds everything that the service needs, and works where it is put."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.web.docs_files import PICTURES, files

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "domain", "projections")


def sources(*folders: str) -> set[str]:
    """The files in these folders, by their path in the project."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(into)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", target, wheel], check=True)
    return target


def run(installed: Path, *arguments: str) -> str:
    """Run Python in an empty folder, with the installed wheel before the source tree."""
    elsewhere = installed.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_packages_is_in_the_wheel(contents: set[str]) -> None:
    expected = sources(*PACKAGES)
    assert "app/data/common_secrets.txt.gz" in expected
    assert expected - contents == set()


def test_every_page_of_the_documentation_is_in_the_wheel(contents: set[str]) -> None:
    pages = {f"app/_docs/{name}" for name in (*PICTURES, *(each.name for each in files(ROOT)))}
    assert {f"app/_docs/{name}" for name in sources("docs")} < pages
    assert pages - contents == set()


def test_an_installed_service_has_the_same_documentation(installed: Path) -> None:
    count = """
from app.web.docs_files import root
from app.web.docs_library import Library
made = Library(root())
print(root(), len(made.pages), made.loose)
"""
    assert run(installed, "-c", count) == f"{installed}/app/_docs {len(files(ROOT))} []\n"


def test_nothing_else_is_in_the_wheel(contents: set[str]) -> None:
    tops = {name.split("/", 1)[0] for name in contents}
    assert {top for top in tops if not top.startswith("gatebook-")} == set(PACKAGES)
    assert not [name for name in contents if name.endswith((".pyc", ".db", ".so"))]


def test_the_packages_are_imported_from_where_the_wheel_was_put(installed: Path) -> None:
    found = run(
        installed,
        "-c",
        "import app, domain, projections; print(app.__file__, domain.__file__, "
        "projections.__file__, sep='\\n')",
    )
    assert found.split() == [str(installed / name / "__init__.py") for name in PACKAGES]


def test_the_installed_command_explains_itself(installed: Path) -> None:
    console_script = "import sys; from app.cli import main; sys.exit(main())"
    assert "serve" in run(installed, "-c", console_script, "--help")
    assert "serve" in run(installed, "-m", "app.cli", "--help")
    assert (installed / "bin" / "gatebook").exists()
