"""What a page's form sends, and the form once more when that was refused.

What is wrong stands at the field; a secret is never sent back. Knows no form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from litestar import Response

from app.http.form import FormRequest
from app.http.problem import headers_of, status_of
from app.http.problems import refusal_of
from app.web.page import page
from domain import errors
from domain.errors import GatebookError, InvalidRequest

_TAKEN: Final = "This name is taken. Choose another, or log in if it is yours."
_AT_THE_FORM: Final = (
    errors.InvalidCredentials,
    errors.InsufficientPermission,
    errors.TooManyAttempts,
    errors.TryLater,
    errors.LastAdministrator,
    errors.RegistrationClosed,
)


class Problem(NamedTuple):
    """What is wrong with the form as a whole."""

    title: str
    detail: str


async def posted(request: FormRequest, *names: str) -> dict[str, str]:
    """The fields of these names, an empty text for what wasn't filled in.

    Raises `InvalidRequest` for any other field, and for a repeated one.
    """
    given = await request.parameters()
    if not given.keys() <= {*names}:
        msg = "The form has fields that are not of this page."
        raise InvalidRequest(msg)
    return {name: given.get(name, "") for name in names}


def again(
    request: FormRequest,
    error: GatebookError,
    template: str,
    fields: Mapping[str, str],
    values: Mapping[str, str],
    **told: object,
) -> Response[bytes]:
    """The form with what was refused; `fields` says which one a pointer means.

    Raises the error when it is none that can be mended there.
    """
    wrong: dict[str, list[str]] = {}
    if isinstance(error, errors.UserIdTaken):
        wrong["user_id"] = [_TAKEN]
    elif isinstance(error, InvalidRequest):
        for fault in error.faults:
            if fault.pointer in fields:
                wrong.setdefault(fields[fault.pointer], []).append(fault.detail)
    if not wrong and not isinstance(error, _AT_THE_FORM):
        raise error
    refusal = refusal_of(request, error)
    return page(
        request,
        template,
        status=status_of(type(refusal)),
        headers=headers_of(refusal),
        values=values,
        errors=wrong,
        problem=None if wrong else Problem(refusal.title, refusal.detail),
        **told,
    )
