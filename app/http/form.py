"""Forms as OAuth sends them: strictly read, every parameter once (RFC 6749 §3.2, appendix B).

Knows no endpoint.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final
from urllib.parse import parse_qsl, unquote_plus

from app.http.body import StrictRequest
from domain.errors import InvalidRequest

_FORM: Final = re.compile(
    rb'application/x-www-form-urlencoded[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE
)
_HALF_ESCAPED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_PARAMETERS: Final = 32


class FormRequest(StrictRequest):
    """A request whose body is a form."""

    media_type: ClassVar = _FORM
    asked_for: ClassVar = "application/x-www-form-urlencoded"
    takes_parameters: ClassVar = True
    """The address of an endpoint may have some (RFC 6749 §3.2), which nobody reads."""

    async def parameters(self) -> dict[str, str]:
        """Every parameter that has a value: one without counts as not sent (RFC 6749 §3.2).

        Raises `InvalidRequest`, for a repeated one too.
        """
        return read_form(await self.body())


def read_form(content: bytes) -> dict[str, str]:
    """The parameters of a form; raises `InvalidRequest`."""
    if content.count(b"&") >= _MAX_PARAMETERS:
        raise InvalidRequest(f"There are more than {_MAX_PARAMETERS} parameters.")
    try:
        text = content.decode()
        _check(text)
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("The body is not a form in UTF-8.") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidRequest("A parameter is repeated.")
    return {name: value for name, value in parameters.items() if value}


def unescaped(text: str) -> str:
    """The value that a form spells so; raises `InvalidRequest`."""
    try:
        _check(text)
        return unquote_plus(text, errors="strict")
    except ValueError:
        raise InvalidRequest("A value is not form-encoded UTF-8.") from None


def _check(text: str) -> None:
    if _HALF_ESCAPED.search(text):
        msg = "a percent sign without two hex digits"
        raise ValueError(msg)
