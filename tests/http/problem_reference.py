"""Makes docs/reference/problems.md of what the service itself says of its problems.

`python -m tests.http.problem_reference` writes it anew; a test checks that it is fresh.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.http.explanation import EXPLANATIONS
from app.http.problem import BY_CODE, status_of
from domain.errors import InsufficientPermission, InvalidRequest, InvalidToken

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "problems.md"
_INTRODUCTION: Final = """\
# Problems

For whoever writes a client, or met a refusal. This page is made from the source, by
`python -m tests.http.problem_reference`.

Every refusal is answered as `application/problem+json` (RFC 9457) with exactly the members `type`,
`title`, `status`, `detail`, `code`, `request_id`, and one more where the table says so. `code`
never changes its meaning, so decide by it; `detail` is for people and may change. `type` is the
address of a page of the running service that says what is said here. `request_id` is also in the
header `X-Request-Id` and in the service's log.

| status | `code` | title | further member |
| --- | --- | --- | --- |
"""


def render() -> str:
    """The whole page."""
    codes = sorted(
        EXPLANATIONS, key=lambda code: (status_of(BY_CODE[code]), list(BY_CODE).index(code))
    )
    rows = "".join(
        f"| {status_of(BY_CODE[code])} | [`{code}`](#{code}) | {BY_CODE[code].title} "
        f"| {_further(code)} |\n"
        for code in codes
    )
    sections = "".join(
        f"\n## {code}\n\n{EXPLANATIONS[code].meaning}\n\nWhat to do: {EXPLANATIONS[code].remedy}\n"
        for code in codes
    )
    return _INTRODUCTION + rows + sections


def _further(code: str) -> str:
    cls = BY_CODE[code]
    if issubclass(cls, InvalidRequest):
        return "`errors`: a list of `{pointer, detail}`"
    if issubclass(cls, InvalidToken):
        return "`reason`, of a token that was good once"
    return "`permission`" if issubclass(cls, InsufficientPermission) else "–"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
