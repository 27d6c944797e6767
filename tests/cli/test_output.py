"""What is printed, and how failures end."""

from __future__ import annotations

import json

import pytest

from app.cli import failure, output
from app.settings import SettingFault, SettingsError
from app.store import UnusableStore
from domain import errors
from projections.storage import Lost, NotDurable, OutcomeUnknown, Refused
from tests.cli.conftest import Gatebook


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë Ünal 中文", "Zoë Ünal 中文"),
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\x1b[2J\x7f\x9b", "\\u001b[2J\\u007f\\u009b"),
        ("\u2028\u2029\u0085\u202e\ufeff", "\\u2028\\u2029\\u0085\\u202e\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    """Security rule 21."""
    assert output.shown(text) == shown
    assert output.shown(text).isprintable()


def test_a_json_line_is_one_line_whatever_it_holds(capsysbinary) -> None:
    """Security rule 21."""
    item = {"text": 'a"\\\n\x1b\x7f\x85\u2028\u202e\U000e0001 Zoë 中'}
    output.json_lines([item, item])
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert [json.loads(line) for line in lines] == [item, item]
    assert all(line.isprintable() for line in lines)
    assert "Zoë 中" in lines[0]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError(SettingFault("GATEBOOK_PORT", "is wrong.")), 2),
        (UnusableStore("Not this one."), 2),
        (NotDurable("not durable"), 2),
        (errors.InvalidRequest("No.", (errors.Fault("/x", "Why."),)), 2),
        (errors.UnacceptableSecret("No."), 2),
        (errors.NotFound("Nobody."), 3),
        (errors.Unavailable(), 6),
        (errors.Overloaded(), 6),
        (Lost("gone"), 6),
        (OutcomeUnknown("gone"), 6),
        (Refused("no"), 1),
        (errors.Damage("Bits."), 1),
        (errors.UserIdTaken(), 1),
        (errors.LastAdministrator(), 1),
    ],
)
def test_every_failure_has_its_exit_code_and_one_message(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure.told(error) == code
    told = capsys.readouterr()
    assert (told.out, "Traceback" in told.err) == ("", False)
    assert told.err.strip()


def test_a_fault_of_the_program_is_not_taken_for_a_refusal() -> None:
    assert failure.told(ZeroDivisionError("oh")) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("args", [("nonsense",), ("users", "nonsense"), ("users", "show"), ()])
def test_a_fault_of_usage_ends_with_2(gatebook: Gatebook, args: tuple[str, ...]) -> None:
    result = gatebook(*args)
    assert result.exit_code == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_openapi_is_printed(gatebook: Gatebook) -> None:
    result = gatebook("openapi")
    assert result.exit_code == 0
    description = json.loads(result.stdout)
    assert description["openapi"].startswith("3.1")
    assert "/register" in description["paths"]
