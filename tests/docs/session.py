"""Does what a page shows, in one shell: its commands, its files, and changes of files.

`./run serve` in a fence starts the service. Where one runs it is stopped first, if the paragraph
before the fence says so; where it doesn't, the second is refused, as its reader would find.
`.venv/bin/uvicorn` is a service of the reader's own. What the page prints in a `text` fence after
one is compared in shape: ids, tokens, times and addresses are other ones each time, but the same
text must stand for the same value all over a page, and `…` for anything.
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
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.pages import ROOT, Fence

TIME_LIMIT: Final = 300.0
ADDRESS: Final = "127.0.0.1:8000"
"""Where pages say that the service is."""
OWN_ADDRESS: Final = "127.0.0.1:8001"
"""Where they say that a service of the reader's own is."""

_RUN: Final = """\
#!/bin/sh
# Stands for the project's: installs nothing, and runs the tests that are named alone.
case $1 in
    test) shift; exec {python} -m pytest -q -p no:cacheprovider "$@" ;;
    gatebook) shift ;;
esac
exec {python} -m app.cli "$@"
"""
_PRELUDE: Final = """\
_apply() { .venv/bin/python -m tests.docs.applying "$1"; }
_stop() {
    [ -n "${_pid-}" ] || return 0
    kill -INT $_pid
    wait $_pid || { echo "the service ended with $?"; exit 1; }
}
_restart() {
    _stop
    _pid=
    _serve "$@"
}
_serve() {
    [ -z "${_pid-}" ] || { echo "a service runs, and the page doesn't say to stop it"; exit 1; }
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
_stop_own() {
    [ -n "${_own-}" ] || return 0
    kill -INT $_own
    wait $_own
}
_uvicorn() {
    _stop_own
    rm -f .own_talk
    mkfifo .own_talk
    .venv/bin/python -m uvicorn "$@" >.own_talk 2>&1 &
    _own=$!
    exec 8<.own_talk
    while read -r _line <&8; do
        case $_line in *'Uvicorn running on'*) return ;; esac
        _own_said="${_own_said-}$_line "
    done
    echo "the service of the reader's own did not start: $_own_said"
    exit 1
}
trap '_stop_own >/dev/null 2>&1; _stop >/dev/null 2>&1' EXIT
"""
_MARK: Final = re.compile(r"\036([0-9]+)\036")
_SERVE: Final = re.compile(r"^\./run serve\b", re.MULTILINE)
_SAYS_STOP: Final = re.compile(r"\b(?:stop|restart)\b", re.IGNORECASE)
_UVICORN: Final = re.compile(r"^\.venv/bin/uvicorn\b", re.MULTILINE)
_DONE: Final = {"sh", "python", "diff"}
"""What is done, one after another: commands, files that are written, files that are changed."""
_KEPT: Final = ".fences"
"""Where the text of files and changes waits for its turn."""

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
    """A fence that was done, what it printed, its exit code, and what the page says it prints."""

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
    """Do what the fences of a page say in `directory`, in the order in which they stand.

    `stands_for` says what to put for the page's text. `python` and `diff` fences are files and
    changes of files, as `tests.docs.applying` has them.
    """
    shell = [(fence, expected) for fence, expected in _pairs(fences) if fence.language in _DONE]
    _lay_out(directory)
    commands = [
        _command(fence, place, directory, stands_for) for place, (fence, _) in enumerate(shell)
    ]
    script = _PRELUDE + "".join(f"{each}printf '\\036%d\\036' $?\n" for each in commands)
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


def _lay_out(directory: Path) -> None:
    run = directory / "run"
    run.write_text(_RUN.format(python=shlex.quote(sys.executable)), encoding="utf-8")
    run.chmod(0o755)
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / _KEPT).mkdir()


def _command(fence: Fence, place: int, directory: Path, stands_for: Mapping[str, str]) -> str:
    """What the shell does for a fence."""
    text = _put(fence.text, stands_for)
    if fence.language == "sh":
        serve = "_restart" if _SAYS_STOP.search(_last(fence.before)) else "_serve"
        return _UVICORN.sub("_uvicorn", _SERVE.sub(serve, text))
    kept = f"{_KEPT}/{place}"
    (directory / kept).write_text(text, encoding="utf-8")
    return f"_apply {kept}\n"


def _last(prose: str) -> str:
    """Its last paragraph."""
    return prose.strip().rpartition("\n\n")[2]


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
        with suppress(ProcessLookupError):  # whatever it has left behind
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
