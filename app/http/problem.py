"""A refusal as a problem (RFC 9457): its shape, and the one table from error to status.

Knows no request.
"""

from __future__ import annotations

from typing import Final

import msgspec

from domain import errors
from domain.errors import GatebookError

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[dict[type[GatebookError], int]] = {
    errors.InvalidRequest: 400,
    errors.UnacceptableSecret: 400,
    errors.InvalidCredentials: 401,
    errors.InvalidToken: 401,
    errors.InsufficientPermission: 403,
    errors.RegistrationClosed: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.UserIdTaken: 409,
    errors.LastAdministrator: 409,
    errors.LogChanged: 409,
    errors.RebuildRunning: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.TooManyAttempts: 429,
    errors.InternalError: 500,
    errors.Damage: 500,
    errors.Overloaded: 503,
    errors.Unavailable: 503,
}
"""Every error that can leave the service, and its status."""

BY_CODE: Final = {cls.code: cls for cls in STATUS}
"""The errors by their code."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with the body: a JSON pointer (RFC 6901) and what."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every refusal answers; the last three members only where they say something."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Fault] | None = None
    reason: str | None = None
    permission: str | None = None


def problem_of(error: GatebookError, issuer: str, request_id: str) -> Problem:
    """The problem of an error."""
    return Problem(
        f"{issuer}/errors/{error.code}",
        error.title,
        status_of(type(error)),
        error.title if isinstance(error, errors.InternalError) else error.detail,
        error.code,
        request_id,
        [Fault(*fault) for fault in error.faults or [("", error.detail)]]
        if isinstance(error, errors.InvalidRequest)
        else None,
        error.reason if isinstance(error, errors.InvalidToken) else None,
        error.permission if isinstance(error, errors.InsufficientPermission) else None,
    )


def headers_of(error: GatebookError) -> dict[str, str]:
    """What the answer says besides its body (RFC 6750 §3, RFC 9110 §10.2.3)."""
    headers: dict[str, str] = {}
    if isinstance(error, errors.TooManyAttempts | errors.TryLater):
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, errors.InvalidCredentials | errors.InvalidToken):
        shown = isinstance(error, errors.InvalidToken) and error.shown
        challenge = 'Bearer realm="gatebook"'
        headers["www-authenticate"] = challenge + (', error="invalid_token"' if shown else "")
    return headers


def status_of(cls: type[GatebookError]) -> int:
    """The status of an error class, or of the nearest one that it inherits from."""
    for each in cls.__mro__:
        if each in STATUS:
            return STATUS[each]
    return 500
