"""The Dockerfile and the Compose files: linted, explained, true to the product, and tried out.

There is no engine here. The Dockerfile's own steps are carried out in a folder, and what they make
is started and asked as the image says.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path
from typing import Final

import psycopg
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from app.cli import COMMANDS
from app.limits import Limits
from app.settings import PREFIX, SETTINGS, load
from tests.docs.pages import DOCS, fences, read
from tests.packaging import compose
from tests.packaging.dockerfile import Ignored, Instruction, instructions, stages
from tests.ports import free_port
from tests.postgres import PostgresServer

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = DOCS / "how-to" / "run-in-a-container.md"
SQL: Final = ROOT / "compose.postgresql.sql"
TEXTS: Final = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "Dockerfile",
        "compose.yaml",
        "compose.postgresql.yaml",
        "compose.previous-key.yaml",
        "compose.postgresql.sql",
    )
}
STAGES: Final = stages(TEXTS["Dockerfile"])
*_, BUILD, IMAGE = STAGES
IGNORED: Final = Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))
ON_SQLITE: Final = compose.load(TEXTS["compose.yaml"])
ON_POSTGRESQL: Final = compose.laid_over(ON_SQLITE, compose.load(TEXTS["compose.postgresql.yaml"]))
PREVIOUS_KEY: Final = compose.load(TEXTS["compose.previous-key.yaml"])
CHANGING: Final = compose.laid_over(ON_POSTGRESQL, PREVIOUS_KEY)
PROJECTS: Final = {
    "sqlite": ON_SQLITE,
    "postgresql": ON_POSTGRESQL,
    "sqlite, changing keys": compose.laid_over(ON_SQLITE, PREVIOUS_KEY),
    "postgresql, changing keys": CHANGING,
}
SERVICES: Final = {
    f"{kind}: {name}": service
    for kind, project in PROJECTS.items()
    for name, service in project["services"].items()
}
FILES: Final = [
    ["compose.yaml"],
    ["compose.yaml", "compose.postgresql.yaml"],
    ["compose.yaml", "compose.previous-key.yaml"],
    ["compose.yaml", "compose.postgresql.yaml", "compose.previous-key.yaml"],
]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
FOLDER: Final = re.compile(r"(?<![\w/.-])/(build|data|opt/gatebook|run/secrets)\b")
A_PROCESS: Final = 96 * 2**20
"""What one process of Gatebook is reckoned with, in bytes; the test that starts one looks."""
STOP_SECONDS: Final = 20
POWERS: Final = """\
SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication
FROM pg_roles WHERE rolname = current_user"""


def run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload,no-any-return]


def here(text: str, root: Path) -> str:
    """The text with the container's folders in a folder of this machine."""
    return FOLDER.sub(rf"{root}/\1", text)


# Linted.


def test_hadolint_finds_nothing() -> None:
    found = run(SCRIPTS / "hadolint", "--no-color", ROOT / "Dockerfile")
    assert (found.returncode, found.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nUSER root\n")
    assert "DL3006" in run(SCRIPTS / "hadolint", tmp_path / "Dockerfile").stdout


def schema_faults(*files: Path) -> str:
    """What the specification of Compose files says against them."""
    checker = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    checked = run(*checker, *files)
    return checked.stdout + checked.stderr if checked.returncode else ""


def test_compose_files_keep_to_their_specification(tmp_path: Path) -> None:
    assert schema_faults(*(ROOT / name for name in FILES[-1])) == ""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text("services:\n  gatebook:\n    readonly: true\n")
    assert "readonly" in schema_faults(wrong)


@pytest.mark.parametrize("files", FILES, ids="+".join)
def test_compose_itself_accepts_them(files: list[str]) -> None:
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        pytest.skip("There is no Compose here: its own reading was NOT tried, the schema was.")
    chosen = [word for name in files for word in ("--file", name)]
    read = run("docker", "compose", *chosen, "config", "--quiet", cwd=ROOT)
    assert read.returncode == 0, read.stderr


# Explained.


def test_every_instruction_has_its_reason() -> None:
    found = instructions(TEXTS["Dockerfile"])
    assert [f"{each.word} in line {each.line}" for each in found if not each.comment] == []
    assert {"FROM", "RUN", "USER", "HEALTHCHECK"} <= {each.word for each in found}


@pytest.mark.parametrize("name", FILES[-1])
def test_every_setting_has_its_reason(name: str) -> None:
    assert list(compose.without_reason(TEXTS[name])) == []


def test_a_reason_that_is_missing_is_seen() -> None:
    assert [each.comment for each in instructions("# Why.\nUSER 1\n\nEXPOSE 1\n")] == ["Why.", ""]
    one = (
        "services:\n  one:\n    # Why.\n    init: true\n    tty: true\n    environment:\n      A: 1"
    )
    told = list(compose.without_reason(one))
    assert told == ["services.one.tty", "services.one.environment.A"]


# True to the product.


@pytest.mark.parametrize("name", TEXTS)
def test_every_variable_is_a_setting(name: str) -> None:
    real = {each for setting in SETTINGS for each in (setting.name, setting.file_name)}
    assert set(re.findall(rf"\b{PREFIX}\w+", TEXTS[name])) - real == set()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the secrets that the page has an operator make, where containers see them."""
    root = tmp_path_factory.mktemp("container")
    for fence in fences(PAGE):
        if fence.language == "sh":
            done = run("/bin/sh", "-eu", "-c", fence.text, cwd=root)
            assert done.returncode == 0, done.stderr
    (root / "run").mkdir()
    (root / "secrets").rename(root / "run" / "secrets")
    (root / "data").mkdir()
    return root


def environment(kind: str, root: Path) -> dict[str, str]:
    """What `gatebook` finds in its container, with folders of this machine."""
    given = {**IMAGE.environment(), **PROJECTS[kind]["services"]["gatebook"]["environment"]}
    put = {name: here(str(value), root) for name, value in given.items()}
    return {**put, "PATH": put["PATH"].replace("$PATH", os.defpath)}


@pytest.mark.parametrize("kind", PROJECTS)
def test_the_settings_are_accepted_together(kind: str, made: Path) -> None:
    environ = {**environment(kind, made), "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "app.cli", "config", "check")
    checked = run(*command, cwd=made / "data", env=environ)
    assert checked.stderr == "The settings are good.\n"


def test_while_the_key_is_changed_both_are_handed_over_as_files(made: Path) -> None:
    before = load(environment("sqlite", made)).settings
    meanwhile = load(environment("sqlite, changing keys", made)).settings
    assert before.master_key_previous is None
    assert meanwhile.master_key == before.master_key
    assert meanwhile.master_key_previous not in {None, before.master_key}


def test_the_image_has_no_issuer_and_no_key_of_its_own() -> None:
    given = {name for name in IMAGE.environment() if name.startswith(PREFIX)}
    assert given == {"GATEBOOK_HOST"}


def test_it_is_the_settings_default_that_lies_in_the_volume(made: Path) -> None:
    database = load(environment("sqlite", made)).settings.sqlite_path
    assert database is not None
    assert not database.is_absolute()
    (mounted,) = ON_SQLITE["services"]["gatebook"]["volumes"]
    volume, _, target = mounted.partition(":")
    assert volume in ON_SQLITE["volumes"]
    assert {IMAGE.last("WORKDIR").text, IMAGE.last("VOLUME").text} == {target}


def test_the_port_is_the_settings_default(made: Path) -> None:
    port = str(load(environment("sqlite", made)).settings.port)
    assert IMAGE.last("EXPOSE").text == port
    (published,) = ON_SQLITE["services"]["gatebook"]["ports"]
    assert published == f"127.0.0.1:{port}:{port}"


def test_the_service_is_a_number_that_is_not_root_and_owns_its_data() -> None:
    user, group = IMAGE.last("USER").text.split(":")
    assert int(user) > 0 < int(group)
    (making,) = (each.text for each in IMAGE.all("RUN") if each.text.startswith("install "))
    assert {f"--owner={user}", f"--group={group}", IMAGE.last("VOLUME").text} <= set(making.split())


def test_the_page_gives_each_secret_to_the_user_who_reads_it() -> None:
    users = {"gatebook": IMAGE.last("USER").text}
    wanted = {
        (service.get("user", users.get(name)).partition(":")[0], f"secrets/{secret}")
        for name, service in ON_POSTGRESQL["services"].items()
        for secret in service["secrets"]
    }
    given = re.findall(r"chown (\d+) ((?:secrets/\w+ ?)+)", read(PAGE))
    assert {(number, name) for number, names in given for name in names.split()} == wanted


def test_nobody_in_a_container_is_root() -> None:
    users = {name: service.get("user") for name, service in SERVICES.items()}
    assert {users.pop(name) for name in list(users) if name.endswith("gatebook")} == {None}
    assert users
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users.values())


def test_the_images_python_is_one_that_the_project_is_for() -> None:
    base = next(stage.base for stage in STAGES if stage.name == IMAGE.base)
    found = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", base)
    assert found, base
    assert found[1] in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {found[1]}" in PROJECT["classifiers"]
    assert BUILD.base == IMAGE.base


# What goes in, and what doesn't.


def copied() -> list[tuple[list[str], str]]:
    """What the Dockerfile copies from the checkout: sources, and where to."""
    of_the_context = (each for each in BUILD.all("COPY") if "from" not in each.flags)
    return [(words[:-1], words[-1]) for words in (each.words for each in of_the_context)]


def test_all_that_is_copied_is_there_and_let_through() -> None:
    sources = [source for names, _ in copied() for source in names]
    assert {source for source in sources if not list(IGNORED.let_through(ROOT, source))} == set()
    assert {"app/", "requirements.lock"} <= set(sources)


def test_nothing_else_is_let_through() -> None:
    wanted = {
        name
        for names, _ in copied()
        for source in names
        for name in IGNORED.let_through(ROOT, source)
    }
    tops = {path.name for path in ROOT.iterdir()} - {".venv", ".git"}
    assert {name for top in tops for name in IGNORED.let_through(ROOT, top)} == wanted


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".env", "secrets/master_key", "secrets", "gatebook.db", "gatebook.db.key"),
        *("app/gatebook.db", "docs/gatebook.db.key", "docs/gatebook.db-wal", "tests/conftest.py"),
        *("app/__pycache__/cli.cpython-313.pyc", "app/cli/__pycache__", "app/old.pyc"),
    ],
)
def test_no_key_no_store_and_nothing_compiled_is_let_through(path: str) -> None:
    assert path in IGNORED


@pytest.mark.parametrize("path", ["app/keys.py", "docs/README.md", "tests/requirements.lock"])
def test_what_is_needed_is_let_through(path: str) -> None:
    assert path not in IGNORED


def test_no_secret_stands_in_the_files() -> None:
    for name, text in TEXTS.items():
        assert not re.search(r"[A-Za-z0-9+/_-]{40,}={0,2}(?![\w/])", text), name
        assert not re.search(r"://\w+:(?!PASSWORD@)[^@\s]*@", text), name


@pytest.mark.parametrize("kind", PROJECTS)
def test_secrets_come_as_files_that_the_page_shows_how_to_make(kind: str, made: Path) -> None:
    project, shown = PROJECTS[kind], {path.name for path in (made / "run" / "secrets").iterdir()}
    for service in project["services"].values():
        given = service["environment"]
        secret = {name for name in given if re.search("KEY|PASSWORD|SECRET|DATABASE_URL", name)}
        assert secret
        assert {given[name] for name in secret if name.endswith("_FILE")} == {
            f"/run/secrets/{name}" for name in service["secrets"]
        }
        assert all(name.endswith("_FILE") for name in secret)
    for name, secret in project["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert name in shown
    assert shown == CHANGING["secrets"].keys()


def fetches(command: str) -> bool:
    """Whether a command asks an index of packages."""
    return "pip " in command and " install" in command and "--no-index" not in command


def test_what_is_fetched_is_locked_with_hashes_and_builds_nothing() -> None:
    commands = [each for step in BUILD.all("RUN") for each in step.commands if fetches(each)]
    assert [re.findall(r"--requirement (\S+)", each) for each in commands] == [
        ["requirements.lock"],
        ["backend.lock"],
    ]
    needed = {"--no-deps", "--require-hashes", "--only-binary=:all:"}
    assert all(needed <= set(each.split()) for each in commands)
    assert not any(fetches(each.text) for each in IMAGE.all("RUN"))


def backend() -> set[str]:
    """The build backend and all that it needs."""
    found, left = set(), ["hatchling"]
    while left:
        name = left.pop()
        found.add(name)
        for line in requires(name) or ():
            asked = Requirement(line)
            if not asked.marker or asked.marker.evaluate({"extra": ""}):
                left += {asked.name} - found
    return found


# Fenced in.


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"] == {"core": 0}
    assert service["pids_limit"] > 0
    assert service["memswap_limit"] == service["mem_limit"]
    assert service["restart"] == "unless-stopped"
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"}


@pytest.mark.parametrize("kind", PROJECTS)
def test_its_memory_is_enough_for_all_hashes_at_once(kind: str, made: Path) -> None:
    settings = load(environment(kind, made)).settings
    service = PROJECTS[kind]["services"]["gatebook"]
    processes = settings.workers + 1 if settings.workers > 1 else 1
    a_hash = settings.hash_memory_kib * 2**10
    hashes = settings.workers * settings.hash_threads * a_hash
    a_command = A_PROCESS + a_hash
    assert compose.size(service["mem_limit"]) > processes * A_PROCESS + hashes + a_command


@pytest.mark.parametrize("kind", PROJECTS)
def test_it_is_given_longer_to_stop_than_it_takes(kind: str) -> None:
    service = PROJECTS[kind]["services"]["gatebook"]
    assert compose.seconds(service["stop_grace_period"]) > Limits().exit_s + 1
    assert "--stop-timeout 15" in IMAGE.last("STOPSIGNAL").comment


def test_the_database_is_durable_and_waited_for() -> None:
    services = ON_POSTGRESQL["services"]
    command = services["postgresql"]["command"]
    assert {"fsync=on", "synchronous_commit=on", "full_page_writes=on"} <= set(command)
    assert services["gatebook"]["depends_on"] == {"postgresql": {"condition": "service_healthy"}}
    # The server that only makes the cluster answers on its socket.
    assert "--host=127.0.0.1" in services["postgresql"]["healthcheck"]["test"]


def test_the_database_is_reached_by_gatebook_alone() -> None:
    services = ON_POSTGRESQL["services"]
    assert ON_POSTGRESQL["networks"] == {"database": {"internal": True}}
    assert services["postgresql"]["networks"] == ["database"]
    assert services["gatebook"]["networks"] == ["default", "database"]
    assert "ports" not in services["postgresql"]


def test_the_databases_role_is_its_owner_and_no_superuser(made: Path) -> None:
    """On the release of PostgreSQL that Compose starts, which is the one of all tests."""
    secrets = made / "run" / "secrets"
    image = ON_POSTGRESQL["services"]["postgresql"]["image"]
    with PostgresServer() as server:
        ((release,),) = server.psql("SHOW server_version")
        assert image == f"postgres:{str(release).partition('.')[0]}-trixie"
        script = here(TEXTS[SQL.name], made)
        command = (server._programs() / "psql", "--set=ON_ERROR_STOP=1", "--no-psqlrc")
        done = run(*command, f"--dbname={server.socket_url()}", input=script)
        assert done.returncode == 0, done.stderr
        url = (secrets / "database_url").read_text().strip()
        assert url.endswith("@postgresql/gatebook")
        with psycopg.connect(url.replace("@postgresql/", f"@127.0.0.1:{server.port}/")) as database:
            assert database.execute(POWERS).fetchone() == (False, False, False, False)
            assert database.execute("CREATE TABLE anything (number int)").statusmessage
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url())


# Tried out.


def copy(root: Path) -> None:
    """What the builder would copy, of what it would be given."""
    into = root / "build"
    for names, target in copied():
        for source in names:
            for name in IGNORED.let_through(ROOT, source):
                inside = name.removeprefix(source) if source.endswith("/") else Path(name).name
                place = into / target / inside
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, place)


def carry_out(step: Instruction, root: Path) -> None:
    """Run a step; in place of what it would fetch, what is installed here is lent."""
    environ = {**BUILD.environment(), "PATH": f"{SCRIPTS}:{os.defpath}", "HOME": str(root)}
    for command in step.commands:
        if fetches(command):
            for packages in root.glob("opt/gatebook/lib/python*/site-packages"):
                (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
            continue
        done = run("/bin/sh", "-c", here(command, root), cwd=root / "build", env=environ)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def serving(root: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The image's program, serving."""
    command = IMAGE.last("ENTRYPOINT").words + IMAGE.last("CMD").words
    with subprocess.Popen(
        command, cwd=root / "data", env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while '"serving"' not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            yield process
        finally:
            process.kill()


def test_what_the_steps_make_serves_and_is_healthy_until_it_ends(made: Path) -> None:
    copy(made)
    for step in BUILD.all("RUN"):
        carry_out(step, made)
    locked = re.findall(r"^(\S+)==", (made / "build" / "backend.lock").read_text(), re.MULTILINE)
    assert set(locked) == backend()

    environ = {**environment("sqlite", made), "GATEBOOK_PORT": str(free_port())}
    where = run("python", "-c", "import app; print(app.__file__)", cwd=made, env=environ)
    assert where.stdout.startswith(f"{made}/opt/gatebook/"), where.stdout + where.stderr

    check = IMAGE.last("HEALTHCHECK").text.removeprefix("CMD ")
    health = Instruction("CMD", {}, check, 0, "").words
    with serving(made, environ) as process:
        well = run(*health, cwd=made / "data", env=environ)
        assert (well.returncode, well.stderr) == (0, "")
        assert (made / "data" / "gatebook.db").exists()
        assert memory(process.pid) < A_PROCESS
        process.send_signal(signal.Signals[IMAGE.last("STOPSIGNAL").text])
        assert process.wait(STOP_SECONDS) == 0
    assert run(*health, cwd=made / "data", env=environ).returncode == 1


def memory(pid: int) -> int:
    """The most that a process has had so far, in bytes; 0 where the system doesn't say."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 2**10 if found else 0


# The page.


def test_the_page_names_what_there_is() -> None:
    text = read(PAGE)
    named = set(re.findall(r"docker compose exec (?:--no-TTY )?(\w+) ", text))
    assert named == ON_POSTGRESQL["services"].keys()
    assert set(re.findall(r"exec gatebook gatebook (\w+)", text)) <= COMMANDS.keys()
    volumes = {f"{ON_SQLITE['name']}_{name}" for name in ON_POSTGRESQL["volumes"]}
    assert volumes == set(re.findall(r"volume `(\w+)`", text))
    base = next(stage.base for stage in STAGES if stage.name == IMAGE.base)
    assert set(re.findall(r"\bpython:\S+", text)) == {base}
    chosen = re.findall(r"COMPOSE_FILE=(\S+)", text)
    assert [each.split(":") for each in chosen] == FILES[1:]
    for each in chosen:
        assert f"COMPOSE_FILE={each}\n" in TEXTS[each.rpartition(":")[2]]
