"""From a refusal to an error as OAuth clients read it (RFC 6749 §5.2): plain JSON, no problem.

Knows the use cases' refusals and no endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from litestar import Response
from litestar.exceptions import NotFoundException
from litestar.openapi.datastructures import ResponseSpec

from app.http import problems
from app.http.auth import service_of
from app.http.problem import Problem, status_of
from app.http.problems import AnyRequest, allow_of, refusal_of
from domain import errors
from domain.errors import GatebookError

BASIC: Final = 'Basic realm="gatebook", charset="UTF-8"'
"""How clients authenticate (RFC 7617 §2)."""
TEMPORARILY: Final = "temporarily_unavailable"

Word = Literal["unsupported_grant_type", "invalid_scope"]
"""What OAuth alone has a word for."""

_OF: Final[dict[type[GatebookError], tuple[str, int]]] = {
    errors.InvalidRequest: ("invalid_request", 400),
    errors.TooLarge: ("invalid_request", 413),
    errors.UnsupportedMediaType: ("invalid_request", 415),
    errors.MethodNotAllowed: ("invalid_request", 405),
    errors.InvalidCredentials: ("invalid_client", 401),
    errors.InvalidToken: ("invalid_grant", 400),
    errors.InsufficientPermission: ("insufficient_scope", 403),
    errors.TooManyAttempts: (TEMPORARILY, 429),
    errors.Overloaded: (TEMPORARILY, 503),
    errors.Unavailable: (TEMPORARILY, 503),
}


_DESCRIBED: Final = {
    400: "what is wrong with the form, or the grant",
    401: "`invalid_client`",
    403: "`insufficient_scope`",
    413: "`invalid_request`: too long",
    415: "`invalid_request`: no form",
    429: "`temporarily_unavailable`: too many attempts",
    500: "`server_error`",
    503: "`temporarily_unavailable`",
}
_ALWAYS: Final = frozenset({400, 401, 413, 415, 429, 500, 503})


class OAuthRefusal(Exception):
    """A refusal for which OAuth alone has a word (RFC 6749 §5.2)."""

    def __init__(self, error: Word, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail


class OAuthError(msgspec.Struct, frozen=True):
    """What every refusal under `/oauth` answers."""

    error: str
    error_description: str


@dataclass
class OAuthErrors(ResponseSpec):
    """The errors that a handler may answer with one status."""


def oauth_errors(*more: int) -> dict[int, ResponseSpec]:
    """What the OpenAPI description says of the errors that a handler may answer."""
    return {
        status: OAuthErrors(
            OAuthError,
            generate_examples=False,
            description=description,
            media_type="application/json",
        )
        for status, description in _DESCRIBED.items()
        if status in {*_ALWAYS, *more}
    }


def answer(request: AnyRequest, error: Exception) -> Response[OAuthError]:
    """The answer that a raised exception becomes."""
    headers = {"pragma": "no-cache", **allow_of(error)}
    if isinstance(error, OAuthRefusal):
        service_of(request).metrics.refused(error.error, "")
        return _answer(error.error, 400, error.detail, headers)
    refusal = refusal_of(request, error)
    word, status = _told(refusal)
    if isinstance(refusal, errors.TooManyAttempts | errors.TryLater):
        headers["retry-after"] = str(refusal.retry_after)
    if status == 401:  # noqa: PLR2004 - the one that carries a challenge
        headers["www-authenticate"] = BASIC
    detail = refusal.title if isinstance(refusal, errors.InternalError) else refusal.detail
    return _answer(word, status, detail, headers)


def answer_anywhere(
    request: AnyRequest, error: Exception
) -> Response[OAuthError] | Response[Problem]:
    """The answer to what is raised before a handler is found, as for a method that a path has not.

    Below `/oauth` that is an error of OAuth too. A path there at which there is nothing is none of
    OAuth's endpoints: its 404 is a problem, as it is anywhere.
    """
    below = request.scope["path"].lstrip("/").startswith("oauth/")
    if below and not isinstance(error, NotFoundException):
        return answer(request, error)
    return problems.answer(request, error)


def _answer(word: str, status: int, detail: str, headers: dict[str, str]) -> Response[OAuthError]:
    body = OAuthError(word, _in_its_characters(detail))
    return Response(body, status_code=status, headers=headers)


def _told(refusal: GatebookError) -> tuple[str, int]:
    for cls in type(refusal).__mro__:
        if cls in _OF:
            return _OF[cls]
    return "server_error", status_of(type(refusal))


def _in_its_characters(text: str) -> str:
    """`error_description` takes printable ASCII without quotes and backslashes."""
    return "".join(each if " " <= each <= "~" and each not in '"\\' else "'" for each in text)
