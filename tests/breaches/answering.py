"""Requests that are read as they mustn't be, and answers that say too much."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app import protocol
from app.http.cors import Cors
from app.http.form import FormRequest
from app.http.observe import Observed
from app.readiness import Check
from app.web import arriving
from domain.errors import NotFound, UserIdTaken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import Receive, Scope, Send

    from app.bootstrap import Service
    from app.caller import Caller
    from app.http.cors import Header
    from app.sessions import Bearer
    from tests.breaches import Breach

_LENIENCIES: Final = 10
"""How many the parser has."""


class Wordy(Check, frozen=True):
    """What was looked at, with a member that the description doesn't have."""

    hint: str = ""


def _log_forms(service: Service, value: str) -> None:
    """Every form is printed, with the `Authorization` header that came with it."""
    read = FormRequest.parameters

    async def parameters(self: FormRequest) -> dict[str, str]:
        given = self.headers.get("authorization", "")
        print(given, await self.body(), file=sys.stderr, flush=True)  # noqa: T201 - past the log
        return await read(self)

    del service, value
    FormRequest.parameters = parameters  # type: ignore[method-assign]


def _tell_names(service: Service, value: str) -> None:
    """A name that is taken is told in the refusal, and a label of the count of refusals."""
    register = service.accounts.register

    async def telling(name: str, secret: str, caller: Caller) -> str:
        try:
            return await register(name, secret, caller)
        except UserIdTaken as error:
            service.metrics.refused(error.code, name)
            error.args = (f"{name} is taken.",)
            raise

    del value
    service.accounts.register = telling  # type: ignore[method-assign]


def _stumble_over_names(service: Service, value: str) -> None:
    """A name with a character beyond ASCII is a fault that nobody foresaw."""
    find = service.accounts.find_user_key

    async def stumbling(name: str, secret: str, caller: Caller) -> str:
        name.encode("ascii")
        return await find(name, secret, caller)

    del value
    service.accounts.find_user_key = stumbling  # type: ignore[method-assign]


def _answer_as_undescribed(service: Service, value: str) -> None:
    """Readiness has a member more, and a session that isn't there is a conflict."""
    look, end = service.readiness.checks, service.sessions.end

    async def checks() -> list[Check]:
        return [Wordy(*msgspec.structs.astuple(each)) for each in await look()]

    async def ending(bearer: Bearer, session_id: str, caller: Caller) -> None:
        try:
            await end(bearer, session_id, caller)
        except NotFound as error:
            raise UserIdTaken from error

    del value
    service.readiness.checks = checks  # type: ignore[method-assign]
    service.sessions.end = ending  # type: ignore[method-assign]


def _read_leniently(service: Service, value: str) -> None:
    """A request is read however it can be."""
    made = protocol.GuardedProtocol.__init__

    def lenient(self: protocol.GuardedProtocol, **given: Any) -> None:
        made(self, **given)
        self.parser.set_dangerous_leniencies(*[True] * _LENIENCIES)

    del service, value
    protocol.GuardedProtocol.__init__ = lenient  # type: ignore[assignment,method-assign]
    protocol.GuardedProtocol._check_head = lambda self: None  # type: ignore[method-assign]


def _believe_host(service: Service, header: str) -> None:
    """The issuer is the host that this header names."""
    answer = Observed.__call__

    async def believing(self: Observed, scope: Scope, receive: Receive, send: Send) -> None:
        for name, host in scope.get("headers", ()):
            if name.decode() == header:
                issuer = f"http://{host.decode('latin-1')}"
                named = msgspec.structs.replace(service.settings, issuer=issuer)
                # Looked at before anything is waited for, so that no other request comes between.
                self.service = msgspec.structs.replace(service, settings=named)
        await answer(self, scope, receive, send)

    Observed.__call__ = believing  # type: ignore[method-assign]


def _reflect_origins(service: Service, value: str) -> None:
    """What is open to pages that are named is open to whatever page asks."""
    say = Cors._said

    def said(self: Cors, asked: dict[str, Any]) -> tuple[Header, ...]:
        self._origins = frozenset({dict(asked["headers"]).get(b"origin", b"")})
        return say(self, asked)

    del service, value
    Cors._said = said  # type: ignore[method-assign]


def _leave_origins_unchecked(service: Service, value: str) -> None:
    """A form is done wherever it was sent from."""
    del service, value
    arriving.check_origin = lambda request: None


def _hoard(service: Service, size: str) -> None:
    """Bytes that are kept of each request, for ever."""
    complete, hoard = protocol.GuardedProtocol.on_headers_complete, list[bytes]()

    def hoarding(self: protocol.GuardedProtocol) -> None:
        hoard.append(os.urandom(int(size)))
        complete(self)

    del service
    protocol.GuardedProtocol.on_headers_complete = hoarding  # type: ignore[method-assign]


BREACHES: Final[Mapping[str, Breach]] = {
    "LOG_FORMS": _log_forms,
    "TELL_NAMES": _tell_names,
    "UNFORESEEN": _stumble_over_names,
    "UNDESCRIBED": _answer_as_undescribed,
    "LENIENT": _read_leniently,
    "BELIEVED_HOST": _believe_host,
    "REFLECTED_ORIGIN": _reflect_origins,
    "UNCHECKED_ORIGIN": _leave_origins_unchecked,
    "HOARD": _hoard,
}
