"""The tests' own server: the service as the product runs it, with faults switched on by settings.

`python -m tests.server` reads `GATEBOOK_*` like the product, and besides:

- the breaches of `tests.breaches`: with one of them, the tests of the property that it breaks must
  fail;
- `GATEBOOK_TEST_DISK` is of the library that a server was loaded with (tests/prove/disk.c);
- `GATEBOOK_TEST_HASTY` seconds that a client has for a head or a body;
- `GATEBOOK_TEST_AS_COMMAND` what `gatebook` is told: it is that command, with the tests' leash,
  and with the breaches that are made before there is a service;
- `GATEBOOK_TEST_LEASH` when set, the server ends with whoever holds the other end of its stdin.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from typing import TYPE_CHECKING, Final, cast

from app import cli, server
from app.application import application
from app.cli import serve as _loaded  # noqa: F401 - once for all that are forked
from app.limits import Limits
from app.settings import SettingsError, load
from tests.breaches import (
    PREFIX,
    answering,
    following,
    hashing,
    keys,
    lookups,
    restoring,
    sessions,
    stopping,
    storing,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uvicorn._types import ASGI3Application

    from app.bootstrap import Service
    from tests.breaches import Breach

NOUNS: Final = (lookups, hashing, sessions, keys, following, storing, answering, waiting, stopping)
BROKEN: Final[Mapping[str, Breach]] = {
    name: breach for noun in NOUNS for name, breach in noun.BREACHES.items()
}


BEFORE: Final = {**storing.BEFORE, **stopping.BEFORE, **restoring.BEFORE}


def meddle(service: Service, environ: Mapping[str, str]) -> None:
    """Break what the tests ask to be broken."""
    for name, broken in BROKEN.items():
        value = environ.get(f"{PREFIX}{name}")
        if value is not None:
            broken(service, value)


def _limits(environ: Mapping[str, str]) -> Limits | None:
    given = environ.get(f"{PREFIX}HASTY")
    if given is None:
        return None
    seconds = float(given)
    return Limits(head_s=seconds, body_s=seconds, stall_s=seconds)


def _end_with_stdin() -> None:
    os.read(0, 1)
    os._exit(1)


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = load(os.environ).settings
    except SettingsError as error:
        return server.tell(error)
    if f"{PREFIX}LEASH" in os.environ:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    for name, change in BEFORE.items():
        if f"{PREFIX}{name}" in os.environ:
            change()
    if f"{PREFIX}AS_COMMAND" in os.environ:
        sys.argv = ["gatebook", *shlex.split(os.environ[f"{PREFIX}AS_COMMAND"])]
        return cli.main()
    services: list[Service] = []

    def started(service: Service) -> None:
        meddle(service, os.environ)
        services.append(service)

    def stop() -> None:
        for service in services:
            service.stopping.set()

    def make() -> ASGI3Application:
        return cast("ASGI3Application", application(settings, on_start=started))

    return server.serve(make, settings, on_stop=stop, limits=_limits(os.environ))


if __name__ == "__main__":
    sys.exit(main())
