"""From whatever was raised while answering to a problem.

Knows Litestar's own exceptions, which never reach a client as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from app.http.auth import service_of
from app.http.problem import BY_CODE, MEDIA_TYPE, STATUS, Problem, headers_of, problem_of
from domain import errors
from domain.errors import Fault, GatebookError

_logger = structlog.get_logger("gatebook.http")

_OF_STATUS = {
    400: errors.InvalidRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
}
_VALUE = re.compile(r""" (['"]).*\1""", re.DOTALL)
"""What was sent, as the framework quotes it: nobody needs to hear it again."""
_DETAIL = {
    404: "There is nothing at this path. See /schema for what there is.",
    405: "This path doesn't take that method. See the Allow header.",
    413: "The body is longer than 16 KiB.",
}

OF_A_BODY: Final = ("invalid_request", "too_large", "unsupported_media_type")
"""What whoever sends a body may hear."""
OF_THE_STORE: Final = ("overloaded", "unavailable")
"""What whoever needs the store, or a hash, may hear."""

BEARER: Final[list[dict[str, list[str]]]] = [{"accessToken": []}]
"""How an operation that needs an access token says so."""

AnyRequest = Request[Any, Any, State]


def answer(request: AnyRequest, error: Exception) -> Response[Problem]:
    """The problem that a raised exception becomes."""
    refusal = refusal_of(request, error)
    request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]
    problem = problem_of(refusal, service_of(request).settings.issuer, request_id)
    return Response(
        problem,
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**allow_of(error), **headers_of(refusal)},
    )


def allow_of(error: Exception) -> dict[str, str]:
    """The header `Allow`, where the framework names a path's methods."""
    named = (error.headers or {}) if isinstance(error, HTTPException) else {}
    return {name: each for name, each in named.items() if name.lower() == "allow"}


def refusal_of(request: AnyRequest, error: Exception) -> GatebookError:
    """The refusal that a raised exception stands for, counted; what nobody foresaw is logged."""
    refusal = _refusal(error)
    reason = getattr(refusal, "reason", None) or ""
    service_of(request).metrics.refused(refusal.code, reason)
    if isinstance(refusal, errors.InternalError):
        request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]
        _logger.error("internal_error", request_id=request_id, exc_info=error)
    return refusal


def _refusal(error: Exception) -> GatebookError:
    if isinstance(error, GatebookError):
        return error
    if isinstance(error, ValidationException):
        return errors.InvalidRequest.of(*_faults(error))
    if isinstance(error, HTTPException) and error.status_code < 500:  # noqa: PLR2004 - theirs
        cls: type[GatebookError] = _OF_STATUS.get(error.status_code, errors.InvalidRequest)
        return cls(_DETAIL.get(error.status_code, ""))
    return errors.InternalError()


def _faults(error: ValidationException) -> tuple[Fault, ...]:
    extra = error.extra if isinstance(error.extra, list) else []
    return tuple(
        Fault(f"/{each.get('key', '')}", f"{_VALUE.sub('', str(each.get('message', '')))}.")
        for each in extra
        if isinstance(each, dict)
    )


@dataclass
class Refusals(ResponseSpec):
    """The problems that a handler may answer with one status."""

    codes: tuple[str, ...] = ()


def refusals(*codes: str) -> dict[int, ResponseSpec]:
    """What the OpenAPI description says of the problems that a handler may answer."""
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys((*codes, "internal_error")):
        found.setdefault(STATUS[BY_CODE[code]], []).append(code)
    return {
        status: Refusals(
            Problem,
            generate_examples=False,
            description=" or ".join(f"`{code}`" for code in names),
            media_type=MEDIA_TYPE,
            codes=tuple(names),
        )
        for status, names in found.items()
    }
