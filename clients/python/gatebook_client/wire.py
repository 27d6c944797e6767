"""What the service's answers mean: bodies, problems, when to come again.

Knows statuses, headers and bytes, and no HTTP library's classes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from gatebook_client.errors import (
    BY_CODE,
    ConfigurationError,
    GatebookError,
    Problem,
    Refused,
    ServiceUnavailable,
    TooManyAttempts,
    UnexpectedAnswer,
)
from gatebook_client.version import __version__

T = TypeVar("T")

USER_AGENT: Final = f"gatebook-client/{__version__} (python)"
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
"""Seconds between two tries when the service doesn't say how long."""

LONGEST_RETRY_AFTER: Final = 86400.0
"""Seconds; a service that says more means "not today"."""

_OK: Final = range(200, 300)
_TOO_MANY: Final = 429
_AWAY: Final = frozenset({502, 503, 504})
"""The last two, and the first, are what stands in front of a service that is gone."""
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1|.*\.localhost")
_NO_ADDRESS: Final = "The address that was given is none of a service: https://HOST[:PORT]."
"""Not the address itself: what is wrong with it may be a password in the wrong place."""
_CHALLENGE: Final = re.compile(r'\berror\s*=\s*"?invalid_token"?(?:[\s,]|$)', re.IGNORECASE)


class Answer(NamedTuple):
    """What came back; what it says doesn't show in a `repr`."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Without what may be tokens."""
        return f"Answer({self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[object]:
        """What pretty-printers show."""
        return [self.status, f"{len(self.body)} bytes"]


def base_url(url: str, *, allow_http: bool = False) -> str:
    """The service's address without a slash at its end.

    Raises ConfigurationError when it is none, or would carry secrets over plain HTTP to elsewhere.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(_NO_ADDRESS) from None
    if "@" in parts.netloc:
        raise ConfigurationError("The address of the service has a user or a password in it.")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ConfigurationError(_NO_ADDRESS)
    if parts.scheme == "http" and not allow_http and not _LOOPBACK.fullmatch(host):
        raise ConfigurationError(
            f"http://{host} would carry secrets unencrypted: use https, or say allow_http=True."
        )
    return url.rstrip("/")


def check_seconds(**given: float) -> None:
    """Raise ConfigurationError for what is no span of time: NaN compares with nothing."""
    for name, seconds in given.items():
        if not seconds >= 0:
            raise ConfigurationError(f"{name} is a number of seconds, 0 or more.")


def read(answer: Answer, kind: type[T]) -> T:
    """The body as what it must be; raises the refusal, or UnexpectedAnswer."""
    if answer.status not in _OK:
        raise error_of(answer)
    return decode(answer.body or b"null", kind, answer.status)


def decode(data: bytes | str, kind: type[T], status: int = 200) -> T:
    """JSON as what it must be; raises UnexpectedAnswer for whatever else it is.

    Also for what a decoder says of text that is no UTF-8, and of nesting without end.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswer(
            f"The answer ({status}) is not what Gatebook answers: {error}", status
        ) from None


def error_of(answer: Answer) -> GatebookError:
    """What an answer other than a success is raised as."""
    try:
        problem = decode(answer.body, Problem, answer.status)
    except UnexpectedAnswer:
        problem = None
    if answer.status == _TOO_MANY or answer.status in _AWAY:
        kind = TooManyAttempts if answer.status == _TOO_MANY else ServiceUnavailable
        said = problem.detail if problem else f"The service answered {answer.status}."
        return kind(said, retry_after=retry_after(answer.headers), problem=problem)
    if problem is None:
        return UnexpectedAnswer(
            f"The answer ({answer.status}) is not one of Gatebook's: is the address right?",
            answer.status,
        )
    return BY_CODE.get(problem.code, Refused)(problem)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, given as such or as a moment (RFC 9110 §10.2.3)."""
    given = headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given), LONGEST_RETRY_AFTER)
    moment = http_date(given)
    if moment is None:
        return None
    # By the clock that said so: the own one may be an hour off.
    now = http_date(headers.get("date"))
    now = datetime.now(UTC).timestamp() if now is None else now
    return min(max(0.0, moment - now), LONGEST_RETRY_AFTER)


def http_date(text: str | None) -> float | None:
    """Seconds since the epoch; None when it is no date."""
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def token_refused(status: int, challenge: str | None) -> bool:
    """Whether an answer says that the token shown is none (RFC 6750 §3.1)."""
    return status == 401 and _CHALLENGE.search(challenge or "") is not None  # noqa: PLR2004


def pause(turn: int) -> float:
    """Seconds to wait before the next try, the first being turn 0; spread, so that herds part."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(turn, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
