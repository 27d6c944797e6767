"""Two servers of PostgreSQL, a primary and its standby, which take each other's place.

    with PostgresPair() as pair:
        url = pair.create_database()
        pair.fail_over()
        pair.rejoin()

Whoever has a URL of the pair finds the primary of the moment. Knows nothing of the service.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.postgres import PostgresServer
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.postgres import StopMode

_NAME: Final = "standby"
_STATE: Final = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"


class Member(PostgresServer):
    """A server that can follow another one, and take its place."""

    _frozen: tuple[int, ...] = ()

    def freeze(self) -> None:
        """All its processes stand still: it takes connections, and says nothing."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            assert self.pid is not None
            os.kill(self.pid, signal.SIGSTOP)  # it begins no other
            found = connection.execute("SELECT pid FROM pg_stat_activity").fetchall()
            self._frozen = (self.pid, *(pid for (pid,) in found))
            for pid in self._frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it; a frozen one crashes before it does anything else."""
        frozen, self._frozen = self._frozen, ()
        for sent in (signal.SIGQUIT, signal.SIGCONT):
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, sent)
        if frozen:
            until(lambda: self.pid, lambda pid: pid is None)
        super().stop(mode)

    def follow(self, primary: Member, port: int) -> None:
        """Copy that one anew, and be its standby from now on; `port` is where to hear of it."""
        self.stop("immediate")
        shutil.rmtree(self.data, ignore_errors=True)
        where = f"host=127.0.0.1 user=postgres password={primary.password}"
        self.prepare_directory()
        self.run(
            "pg_basebackup",
            *("-d", f"{where} port={primary.port}", "-D", self.data),
            *("--checkpoint=fast", "--no-sync"),
        )
        (self.data / "standby.signal").touch()
        heard = f"{where} port={port} application_name={_NAME}"
        self.start({"primary_conninfo": heard, "synchronous_standby_names": ""})

    def promote(self) -> None:
        """Be a primary, and wait until it is."""
        self.run("pg_ctl", "promote", "--wait", "--silent", "-D", self.data)

    def wait_for_standby(self, *, synchronous: bool) -> None:
        """Have commits wait for the standby, or not; once it is there and they do."""
        value = _NAME if synchronous else ""
        self.configure({"synchronous_standby_names": value})
        wanted = [("sync",)] if synchronous else [("async",)]
        until(lambda: self.psql(_STATE), lambda found: found == wanted)


class PostgresPair:
    """A primary whose commits wait for the standby's disk; unless it isn't `synchronous`.

    `through` are the ports by which the standbys hear of the primaries, each by that of a primary,
    where not by theirs.
    """

    def __init__(self, *, synchronous: bool = True) -> None:
        self._synchronous = synchronous
        self._stack = ExitStack()
        self.primary = Member()
        self.standby = Member(password=self.primary.password)
        self.through: Mapping[int, int] = {}

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.enter_context(self.primary)
            stack.push(self.standby)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def create_database(self) -> str:
        """Make an empty database; its URL, by which the primary is found."""
        parts = urlsplit(self.primary.create_database())
        user = parts.netloc.rpartition("@")[0]
        ports = self.primary.port, self.standby.port
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        query = "target_session_attrs=read-write"
        return urlunsplit(parts._replace(netloc=f"{user}@{hosts}", query=query))

    def rejoin(self) -> None:
        """Have the other one follow the primary; afterwards both have every commit."""
        port = self.through.get(self.primary.port, self.primary.port)
        self.standby.follow(self.primary, port)
        self.primary.wait_for_standby(synchronous=self._synchronous)

    def lose_primary(self) -> None:
        """The primary crashes."""
        self.primary.stop("immediate")

    def fail_over(self, *, frozen: bool = False) -> None:
        """The standby takes its place, once it was lost, or stands still."""
        if frozen:
            self.primary.freeze()
        else:
            self.lose_primary()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
