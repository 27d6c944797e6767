"""Golden files: each released shape of an event, as it lies in a log somewhere.

`python -m tests.domain.golden` writes those that are missing, from the samples, and notes their
sums. It never changes one: released shapes are frozen. `NAME.vN.json` holds `topic`, `schema`,
`clear` (JSON text), `sealed` (base64 or null) and, as `decoded`, what is read from them. When a
newer version comes, what is then read from the old bytes is written by hand as
`NAME.vN.as.vM.json`, with `decoded` alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from domain.codec import StoredForm, encode
from domain.events import Event
from domain.stream import Meta
from tests.domain.samples import SAMPLES

FOLDER = Path(__file__).parents[1] / "golden" / "events"
SUMS = FOLDER / "SHA256SUMS"


def path_of(name: str, schema: int) -> Path:
    """Where the golden file of a version is."""
    return FOLDER / f"{name}.v{schema}.json"


def decoded(event: Event, meta: Meta) -> object:
    """Everything that is read from a stored form, as JSON: bytes in base64."""
    return msgspec.json.decode(msgspec.json.encode({"meta": meta, "event": event}))


def stored_form(golden: dict[str, Any]) -> StoredForm:
    """The bytes that a golden file holds."""
    sealed = golden["sealed"]
    return StoredForm(
        golden["topic"],
        golden["schema"],
        golden["clear"].encode(),
        None if sealed is None else base64.b64decode(sealed, validate=True),
    )


def expected(name: str, schema: int, newest: int) -> object:
    """What today's code must read from the bytes of version `schema`."""
    path = path_of(name, schema)
    if schema < newest:
        path = path.with_name(f"{name}.v{schema}.as.v{newest}.json")
    return json.loads(path.read_text(encoding="utf-8"))["decoded"]


def sums() -> dict[str, str]:
    """The noted SHA-256 of each file, by name."""
    lines = SUMS.read_text(encoding="utf-8").splitlines() if SUMS.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_missing() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for event, meta in SAMPLES:
        path = path_of(event.name, event.schema)
        if path.exists():
            continue
        form = encode(event, meta)
        golden = {
            "topic": form.topic,
            "schema": form.schema,
            "clear": form.clear.decode(),
            "sealed": None if form.sealed is None else base64.b64encode(form.sealed).decode(),
            "decoded": decoded(event, meta),
        }
        path.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    found = {path.name: digest_of(path) for path in FOLDER.glob("*.json")} | sums()
    lines = (f"{digest}  {name}\n" for name, digest in sorted(found.items()))
    SUMS.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    _write_missing()
