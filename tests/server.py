"""The tests' own server: the service as the product runs it, with faults switched on by settings.

`python -m tests.server` reads `GATEBOOK_*` like the product, and besides:

- `GATEBOOK_TEST_LOOKUP_CACHE` seconds for which a session's row is remembered, as no process of
  the product may;
- `GATEBOOK_TEST_TRUST_ERRORS` when set, a commit without an answer counts as one that did not
  happen;
- `GATEBOOK_TEST_LEASH` when set, the server ends with whoever holds the other end of its stdin.

Each is a control: with it, the tests of the property that it breaks must fail. Knows how to reach
into a running service, and nothing of what the tests look for.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, cast

from app import server
from app.http.application import application
from app.settings import SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uvicorn._types import ASGI3Application

    from app.bootstrap import Service
    from app.lookup import Lookup
    from projections.token_lookup import TokenRow

PREFIX: Final = "GATEBOOK_TEST_"


class Remembering:
    """A look-up of sessions that is as old as `seconds`."""

    def __init__(self, lookup: Lookup, seconds: float) -> None:
        self._lookup = lookup
        self._seconds = seconds
        self._rows: dict[str, tuple[float, TokenRow | None]] = {}

    async def session(self, session_id: str) -> TokenRow | None:
        found = self._rows.get(session_id)
        if found is None or time.monotonic() - found[0] > self._seconds:
            found = time.monotonic(), await self._lookup.session(session_id)
            self._rows[session_id] = found
        return found[1]


def meddle(service: Service, environ: Mapping[str, str]) -> None:
    """Break what the tests ask to be broken."""
    seconds = environ.get(f"{PREFIX}LOOKUP_CACHE")
    if seconds is not None:
        remembering = Remembering(service.lookup, float(seconds))
        service.sessions._lookup = remembering  # type: ignore[assignment]
    if f"{PREFIX}TRUST_ERRORS" in environ:
        service.store.log.holds = lambda record: False  # type: ignore[method-assign]


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
    services: list[Service] = []

    def started(service: Service) -> None:
        meddle(service, os.environ)
        services.append(service)

    def stop() -> None:
        for service in services:
            service.stopping.set()

    def make() -> ASGI3Application:
        return cast("ASGI3Application", application(settings, on_start=started))

    return server.serve(make, settings, on_stop=stop)


if __name__ == "__main__":
    sys.exit(main())
