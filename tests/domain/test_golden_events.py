"""What was once stored is read for ever."""

from __future__ import annotations

import json
import re

import pytest

from domain.catalogue import EVENTS
from domain.codec import decode, encode
from tests.domain import golden
from tests.domain.specification import ADA, T0

FROZEN = (
    "{}: released shapes are frozen. Leave this file as it was released; for a new shape make a "
    "new version: schema + 1, an upcast, a new golden file (python -m tests.domain.golden)."
)
RELEASED = [(name, schema) for name, cls in EVENTS.items() for schema in range(1, cls.schema + 1)]
NEWEST = [(name, cls.schema) for name, cls in EVENTS.items()]


@pytest.mark.parametrize(("name", "schema"), RELEASED)
def test_every_version_of_every_event_is_read_as_it_was(name: str, schema: int) -> None:
    kept = json.loads(golden.path_of(name, schema).read_text(encoding="utf-8"))
    assert (kept["topic"], kept["schema"]) == (name, schema)
    recorded = decode(ADA, 1, 1, T0, golden.stored_form(kept))
    assert type(recorded.event) is EVENTS[name]
    assert golden.decoded(recorded.event, recorded.meta) == golden.expected(
        name, schema, EVENTS[name].schema
    )


@pytest.mark.parametrize(("name", "schema"), NEWEST)
def test_the_newest_shape_is_written_to_the_same_bytes(name: str, schema: int) -> None:
    form = golden.stored_form(json.loads(golden.path_of(name, schema).read_text(encoding="utf-8")))
    recorded = decode(ADA, 1, 1, T0, form)
    assert encode(recorded.event, recorded.meta) == form


def test_no_golden_file_is_of_an_event_that_is_gone() -> None:
    files = [path.name for path in golden.FOLDER.iterdir() if path != golden.SUMS]
    names = {f"{name}.v{schema}.json" for name, schema in RELEASED}
    assert {re.sub(r"\.as\.v\d+\.json$", ".json", file) for file in files} == names


def test_no_golden_file_was_changed() -> None:
    for name, digest in golden.sums().items():
        path = golden.FOLDER / name
        assert path.exists(), FROZEN.format(name)
        assert golden.digest_of(path) == digest, FROZEN.format(name)


def test_every_golden_file_has_its_sum() -> None:
    files = {path.name for path in golden.FOLDER.glob("*.json")}
    assert golden.sums().keys() == files, "run python -m tests.domain.golden"
