"""A moment as an operator types it."""

from __future__ import annotations

import rich_click as click

from app.timestamps import parse_rfc3339


class Time(click.ParamType[int]):
    """A moment, in µs."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """RFC 3339 with `Z` or an offset, or a date."""
        try:
            return parse_rfc3339(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
