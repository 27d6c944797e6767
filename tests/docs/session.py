"""Runs what a page shows: its shell fences in one shell, against a service of their own.

`./run serve` in a fence starts the service, or stops it and starts it again. What the page prints
in a `text` fence after one is compared in shape: ids, tokens, times and addresses are other ones
each time, but the same text must stand for the same value all over a page, and `…` for anything.
Knows no page.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.pages import ROOT, Fence

TIME_LIMIT: Final = 120.0
ADDRESS: Final = "127.0.0.1:8000"
"""Where pages say that the service is."""

_RUN: Final = """\
#!/bin/sh
# Stands for the project's: installs nothing.
[ "$1" != gatebook ] || shift
exec {python} -m app.cli "$@"
"""
_PRELUDE: Final = """\
_stop() {
    [ -n "${_pid-}" ] || return 0
    kill -INT $_pid
    wait $_pid || { echo "the service ended with $?"; exit 1; }
}
_serve() {
    _stop
    rm -f .talk
    mkfifo .talk
    ./run serve "$@" >.talk 2>&1 &
    _pid=$!
    exec 9<.talk
    while read -r _line <&9; do
        case $_line in *'"event":"serving"'*) return ;; esac
        _said="${_said-}$_line "
    done
    echo "the service did not start: $_said"
    exit 1
}
trap '_stop >/dev/null 2>&1' EXIT
"""
_MARK: Final = re.compile(r"\036([0-9]+)\036")
_SERVE: Final = re.compile(r"^\./run serve\b", re.MULTILINE)
_FILE: Final = re.compile(r"# (\S+)\n")

_SHAPES: Final = {
    "user_key": r"\buk_[0-9a-z]{26}\b",
    "time": r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "key_id": r"(?<![\w-])[\w-]{43}(?![\w-])",
    "session_id": r"(?<![\w-])(?=[\w-]*\d)[\w-]{22}(?![\w-])",
    "request_id": r"\b[0-9a-f]{32}\b",
    "master_id": r"\b[0-9a-f]{16}\b",
    "seconds": r"\b1\d{9}\b",
    "program": r"\bcurl/[\d.]+",
    "cut_token": r"\bgbr_\w+…",
    "anything": "…",
}
"""What is another one each time, as a page shows it."""
_SAME: Final = {
    "user_key": _SHAPES["user_key"],
    "time": _SHAPES["time"],
    "key_id": r"[\w-]{43}",
    "session_id": r"[\w-]{22}",
}
"""As it is then; the same all over a page."""
_ANY: Final = {
    "request_id": _SHAPES["request_id"],
    "master_id": _SHAPES["master_id"],
    "seconds": _SHAPES["seconds"],
    "program": _SHAPES["program"],
    "cut_token": r"gbr_\w+",
    "anything": r"[^\n]*?",
}
_SHAPE: Final = re.compile("|".join(f"(?P<{name}>{shape})" for name, shape in _SHAPES.items()))


class Step(NamedTuple):
    """A shell fence, what it printed, its exit code, and what the page says that it prints."""

    fence: Fence
    printed: str
    status: int
    expected: str | None


def steps(
    fences: Sequence[Fence],
    directory: Path,
    environment: Mapping[str, str],
    stands_for: Mapping[str, str],
) -> list[Step]:
    """Run the fences of a page in `directory`; `stands_for` says what to put for the page's text.

    A `python` fence that begins with `# NAME` is the content of that file.
    """
    shell = [(fence, expected) for fence, expected in _pairs(fences) if fence.language == "sh"]
    _lay_out(directory, fences, stands_for)
    script = _PRELUDE + "".join(
        f"{_SERVE.sub('_serve', _put(fence.text, stands_for))}printf '\\036%d\\036' $?\n"
        for fence, _ in shell
    )
    output = _run_script(script, directory, environment)
    for shown, real in stands_for.items():
        output = output.replace(real, shown)
    parts = _MARK.split(output)
    assert len(parts) == 2 * len(shell) + 1, output
    return [
        Step(fence, parts[2 * place], int(parts[2 * place + 1]), expected)
        for place, (fence, expected) in enumerate(shell)
    ]


def differences(found: Sequence[Step]) -> Iterator[str]:
    """What a page says otherwise than it is."""
    known: dict[str, str] = {}
    for step in found:
        where = f"line {step.fence.line}: {step.fence.text}"
        if step.status:
            yield f"{where}ended with {step.status}:\n{step.printed}"
        if step.expected is None:
            continue
        pattern, shown = _pattern(_even(step.expected))
        match = re.fullmatch(pattern, _even(step.printed))
        if match is None:
            yield f"{where}printed\n{step.printed}where the page has\n{step.expected}"
            continue
        for text, real in zip(shown, match.groups(), strict=True):
            if known.setdefault(text, real) != real:
                yield f"{where}has {real} where {text} was {known[text]} before"


def _pairs(fences: Sequence[Fence]) -> Iterator[tuple[Fence, str | None]]:
    """Each fence with the text of the `text` fence that follows it."""
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        follows = after is not None and after.language == "text"
        yield fence, after.text if after is not None and follows else None


def _lay_out(directory: Path, fences: Sequence[Fence], stands_for: Mapping[str, str]) -> None:
    run = directory / "run"
    run.write_text(_RUN.format(python=shlex.quote(sys.executable)), encoding="utf-8")
    run.chmod(0o755)
    (directory / ".venv").symlink_to(sys.prefix)
    for fence in fences:
        if fence.language == "python":
            named = _FILE.match(fence.text)
            assert named, f"line {fence.line}: say in the first line which file this is"
            content = _put(fence.text, stands_for)
            (directory / named[1]).write_text(content, encoding="utf-8")


def _put(text: str, stands_for: Mapping[str, str]) -> str:
    for shown, real in stands_for.items():
        text = text.replace(shown, real)
    return text


def _run_script(script: str, directory: Path, environment: Mapping[str, str]) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    process = subprocess.Popen(
        ["/bin/sh", "-c", script],
        cwd=directory,
        env={
            **kept,
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "NO_PROXY": "*",
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=TIME_LIMIT)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _even(text: str) -> str:
    """The text without what varies by how wide a column is."""
    return re.sub(" +$", "", re.sub("  +", "  ", text), flags=re.MULTILINE)


def _pattern(expected: str) -> tuple[str, list[str]]:
    """A regular expression for the text, and the texts that its groups stand for."""
    pattern, shown, end = "", [], 0
    for found in _SHAPE.finditer(expected):
        kind = str(found.lastgroup)
        pattern += re.escape(expected[end : found.start()])
        if kind in _SAME:
            pattern += f"({_SAME[kind]})"
            shown.append(found[0])
        else:
            pattern += _ANY[kind]
        end = found.end()
    return pattern + re.escape(expected[end:]), shown
