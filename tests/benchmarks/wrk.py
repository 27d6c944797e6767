"""Load from wrk, a program in C that costs little beside a server in Python.

Knows nothing of the service.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.load import Generator, LoadError, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.load import Target

# Requests are made once, for all of the run, unless they are used up. wrk counts answers of 400 and
# more by itself, and no others; a function that looked at each answer would cost as much as sending
# it.
_BODIES: Final = """\
local bodies = {{
{bodies}
}}
local bearers = {{
{bearers}
}}
wrk.headers["Content-Type"] = {media_type}
"""
_ALWAYS: Final = """\
local requests, turn = {}, 0

function init(arguments)
  for i = 1, math.max(#bodies, #bearers) do
    local method, body = "GET", bodies[i]
    if #bodies > 0 then
      method = "POST"
    end
    if #bearers > 0 then
      wrk.headers["Authorization"] = "Bearer " .. bearers[(i - 1) % #bearers + 1]
    end
    requests[i] = wrk.format(method, wrk.path, wrk.headers, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"""
_DONE: Final = """\

function done(summary, latency, each)
  local failed = summary.errors
  io.write(string.format(
    "tally: requests=%d microseconds=%d status=%d connect=%d read=%d write=%d timeout=%d\\n",
    summary.requests, summary.duration, failed.status, failed.connect, failed.read, failed.write,
    failed.timeout))
end
"""
_RENEWING: Final = """\
local waiting, first, last = {{}}, 1, 0
local member = '"{member}":"([^"]+)"'

function init(arguments)
  for i, body in ipairs(bodies) do
    waiting[i] = body
  end
  last = #bodies
end

function request()
  local body = waiting[first] or bodies[1]
  waiting[first] = nil
  first = first + 1
  return wrk.format("POST", wrk.path, wrk.headers, body)
end

function response(status, headers, body)
  local found = string.match(body, member)
  if found then
    last = last + 1
    waiting[last] = string.format('{body}', found)
  end
end
"""
_TALLY: Final = re.compile(r"^tally: (.+)$", re.MULTILINE)
_VERSION: Final = re.compile(r"^wrk (\S+)", re.MULTILINE)


def find() -> Generator | None:
    """Give wrk with its version; None when it isn't installed."""
    program = shutil.which("wrk")
    if program is None:
        return None
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
    found = _VERSION.search(said)

    def load(target: Target, seconds: float) -> Tally:
        return run(program, target, seconds)

    return Generator(f"wrk {found[1] if found else 'of unknown version'}", load)


def run(program: str, target: Target, seconds: float) -> Tally:
    """Run it with one thread, for whole seconds; raises `LoadError`."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        path = Path(directory, "load.lua")
        path.write_text(script(target))
        done = subprocess.run(
            [
                program,
                "--threads=1",
                f"--connections={target.connections}",
                f"--duration={max(1, round(seconds))}s",
                "--timeout=30s",
                f"--script={path}",
                f"http://127.0.0.1:{target.port}{target.path}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise LoadError(f"wrk ended with {done.returncode}: {done.stderr or done.stdout}")
    return parse(done.stdout)


def script(target: Target) -> str:
    """Write the Lua that posts the bodies in turn and tells what came of it."""
    bodies = _BODIES.format(
        bodies=_quoted(body.decode() for body in target.bodies),
        bearers=_quoted(target.bearers),
        media_type=f'"{target.media_type}"' if target.media_type else "nil",
    )
    return bodies + (_renewing(target) if target.renewed else _ALWAYS) + _DONE


def _quoted(texts: Iterable[str]) -> str:
    return "\n".join(f"  [==[{text}]==]," for text in texts)


def _renewing(target: Target) -> str:
    form = json.loads(target.bodies[0])
    form[target.renewed] = "%s"
    return _RENEWING.format(member=target.renewed, body=json.dumps(form, separators=(",", ":")))


def parse(output: str) -> Tally:
    """Read what the script told; raises `LoadError` for answers of 400 and more."""
    found = _TALLY.search(output)
    if found is None:
        raise LoadError(f"wrk told nothing: {output!r}")
    told = {name: int(number) for name, _, number in (x.partition("=") for x in found[1].split())}
    requests, microseconds, status = (
        told.pop(name) for name in ("requests", "microseconds", "status")
    )
    if status:
        raise LoadError(f"{status} of {requests} answers were of 400 or more")
    if broken := [f"{name} {number}" for name, number in told.items() if number]:
        raise LoadError(f"connections broke ({', '.join(broken)})")
    if not requests:
        raise LoadError("nothing was answered")
    return Tally(requests, microseconds / 1_000_000)
