"""Progress of long work: a bar on a terminal, seldom a line elsewhere, nothing on stdout."""

from __future__ import annotations

import io
import sys

import pytest

from app.cli import output
from app.cli.progress import EVERY, progress


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A text that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_elsewhere_there_is_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress("Events proved", 10_000, clock=clock) as advance:
        for _ in range(10):
            clock.now += EVERY / 2
            advance(1_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Events proved: 2,000 of 10,000, 400/s, 20 s left",
        "Events proved: 4,000 of 10,000, 400/s, 15 s left",
        "Events proved: 6,000 of 10,000, 400/s, 10 s left",
        "Events proved: 8,000 of 10,000, 400/s, 5 s left",
        "Events proved: 10,000 of 10,000, 400/s, 0 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "done", "left"),
    [(10, 10, "16 min 30 s"), (100, 1, "27 h 45 min"), (10, 0, "unknown time")],
)
def test_the_time_left_is_told_in_its_units(
    capsys: pytest.CaptureFixture[str], seconds: int, done: int, left: str
) -> None:
    clock = Clock()
    with progress("Keys", 1_000, clock=clock) as advance:
        clock.now += seconds
        advance(done)
    assert capsys.readouterr().err.endswith(f", {left} left\n")


def test_what_is_soon_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress("Events proved", 10, clock=clock) as advance:
        clock.now += EVERY - 0.1
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    with progress("Events [bold]\x1b[2J", 4_000) as advance:
        advance(1_000)
        output.data(["data"])
        advance(3_000)
    shown = terminal.getvalue()
    assert "Events [bold]\\u001b[2J" in shown
    assert "4000/4000" in shown
    assert shown.endswith("\x1b[2K")
    assert capsys.readouterr().out == "data\n"


def test_a_failure_in_between_goes_on_to_whoever_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(KeyError), progress("Events", 10):
        raise KeyError
