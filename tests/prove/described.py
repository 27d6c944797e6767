"""The service's operations, as the golden file of its OpenAPI description has them.

Knows nothing of what is asked of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GOLDEN: Final = Path(__file__).parents[1] / "golden" / "openapi.json"
_DESCRIPTION: Final = json.loads(_GOLDEN.read_text(encoding="utf-8"))
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"

Schema = dict[str, Any]


class Operation(NamedTuple):
    """A method on a path, and every place that the description has for what a caller says."""

    method: str
    path: str
    places: tuple[str, ...]
    """The path's own parameters."""
    queries: tuple[str, ...]
    headers: tuple[str, ...]
    members: Mapping[str, Schema]
    """Of a JSON body."""
    form: Mapping[str, Schema]
    secured: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def takes_nothing(self) -> bool:
        """Whether there is no place for anything: no parameter, no body, no token."""
        return not (
            self.places or self.queries or self.headers or self.members or self.form or self.secured
        )


def _described() -> Iterator[Operation]:
    for path, methods in _DESCRIPTION["paths"].items():
        for method, told in methods.items():
            parameters = [(each["in"], each["name"]) for each in told.get("parameters", ())]
            bodies = told.get("requestBody", {}).get("content", {})
            assert set(bodies) <= {_JSON, _FORM}, f"{method} {path}: an unknown kind of body"
            yield Operation(
                method.upper(),
                path,
                tuple(name for place, name in parameters if place == "path"),
                tuple(name for place, name in parameters if place == "query"),
                tuple(name for place, name in parameters if place == "header"),
                _members(bodies.get(_JSON)),
                _members(bodies.get(_FORM)),
                bool(told.get("security")),
            )


def _members(body: Schema | None) -> dict[str, Schema]:
    if body is None:
        return {}
    schema = body["schema"]
    if "$ref" in schema:
        schema = _DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return dict(schema["properties"])


OPERATIONS: Final = tuple(_described())
