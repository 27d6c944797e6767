"""Which events somebody wants to see, as a form says it: what is wrong stands at its field.

Knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from app.audit import Wanted, check_type
from app.bootstrap import Service
from app.clock import now
from app.timestamps import parse_rfc3339
from domain.errors import InvalidRequest, NotFound
from domain.user_key import is_user_key

FILTERS: Final = ("user", "type", "since", "until")

_NO_NAMES: Final = "Give a user_key: to find users by name you need users:read."
_NO_TYPE: Final = "There is no such event. Choose one of the list."
_LONGEST: Final = 160
"""Of what is said at a field: beyond it every type there is would be named."""
_NOBODY: Final = "Nobody has exactly this name or key."


class Filter(NamedTuple):
    """What was asked for, as written and as it is meant."""

    values: Mapping[str, str]
    wanted: Wanted
    errors: Mapping[str, list[str]]


async def filter_of(service: Service, given: tuple[str, ...], *, names: bool) -> Filter:
    """What these texts mean, in the order of `FILTERS`; `names` says whether names may be found."""
    values = dict(zip(FILTERS, (each.strip() for each in given), strict=True))
    errors: dict[str, list[str]] = {}
    user_key = kind = None
    try:
        user_key = await _user_key(service, values["user"], names=names)
    except (NotFound, InvalidRequest) as error:
        errors["user"] = [error.detail]
    try:
        kind = check_type(values["type"]) if values["type"] else None
    except InvalidRequest as error:
        told = [fault.detail for fault in error.faults]
        errors["type"] = told if len(told[0]) < _LONGEST else [_NO_TYPE]
    times: dict[str, int | None] = {}
    for name in ("since", "until"):
        try:
            times[name] = parse_rfc3339(values[name]) if values[name] else None
        except ValueError as error:
            errors[name] = [str(error)]
    wanted = Wanted(user_key, kind, times.get("since"), times.get("until"))
    return Filter(values, wanted, errors)


async def _user_key(service: Service, text: str, *, names: bool) -> str | None:
    if not text or is_user_key(text):
        return text or None
    if not names:
        raise InvalidRequest(_NO_NAMES)
    try:
        found = await service.reading.read(lambda rows: service.directory.find(rows, text, now()))
    except NotFound:
        raise NotFound(_NOBODY) from None
    return found.user_key
