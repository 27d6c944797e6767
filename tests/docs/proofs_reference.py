"""Makes the page of the proofs of what each of them says of itself.

Knows no property.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

from tests.prove.__main__ import NAMES, SECONDS_A_NAME, proof_of
from tests.prove.needs import ALONE, needs

if TYPE_CHECKING:
    from tests.prove.__main__ import Proof

_MADE: Final = "This page is made from the source, by `python -m tests.docs.generate`."
SHORT_FORMS_S: Final = 90
SHORT_FORMS_SEEN_S: Final = 160
_STORES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def proofs_page() -> str:
    """Every proof: what it is about, where, and how much of it is tried."""
    proofs = {name: proof_of(name) for name in NAMES}
    rows = "".join(_row(name, proof) for name, proof in proofs.items())
    whole = ", ".join(f"`{name}`" for name, proof in proofs.items() if proof.STEP >= proof.SIZE)
    return f"""\
# Proofs

For whoever wants a promise shown, and whoever changes what keeps it.
{_MADE}

`./run prove` tries all of these at full size, each on its stores, one after the other; with names
after it, those alone. A name takes {SECONDS_A_NAME // 60} minutes at most: no round of it begins
that would end later, what isn't finished then says so, and the same command goes on where it was.
A change of the product begins all of them anew, one of a proof those that run it; so what is
changed while a proof runs ends it. Versions of what is installed don't count.
`--short` tries one small step, as `./run test` does with every one of them, and of those for both
stores on one of the two (`tests/choosing.py`). `--hours N` is for what goes by time. `--table` runs
nothing and tells what was found so far; `--list` tells what there is.

These are one round at full size, and begin anew when they are broken off:
{whole}.
The first round begins however long it takes; one of `soak` takes nineteen minutes, so that it needs
two runs, one for each store.

It needs what `./run test` installs; what a proof needs besides stands beside it. `cc` is a C
compiler, `Node.js` one of 20 or newer, Chromium that of Debian (`/usr/bin/chromium`); atheris, for
the full form of `fuzzed` alone, is installed by `./run prove` where there is one for the Python in
use. What can't be tried says why, and is no success; of `hostile_tokens` all but the JavaScript
client is tried without Node.js, and of `read_only` PostgreSQL without `cc`. What has a limit of
seconds, or compares times, needs {ALONE}: whatever else runs may make it fail.

All short forms together are to take {SHORT_FORMS_S} s at most on a machine of two cores that does
nothing else, with as many workers as `./run test` has there, once it has installed what it needs.
They took {SHORT_FORMS_SEEN_S} when they were measured last:

    .venv/bin/python -m pytest -n 3 --dist worksteal -m short_form tests

`--durations 50` tells which of them take how long. A test that runs one is marked by itself.

What is told of each is how often it was tried, how often it was violated, and whether its control
was noticed: a breach that is made on purpose, such as a server that remembers what it mustn't. One
that goes unnoticed is a failure, as is a proof without any. The exit code is 0 when all that was
asked for was tried at its size and held.

A proof is the module of `tests/prove` that has its name. The sizes are those of each store, so
that a thousand kills are five hundred and five hundred.

Signatures and tokens that broke other libraries, [Project Wycheproof](https://github.com/C2SP/wycheproof)'s,
are no proof of this list: they are few, and each `./run test` shows all of them to the service, to
the Python client and to the JavaScript client.

| name | what happens | what must hold | stores | size | short | needs |
| --- | --- | --- | --- | --- | --- | --- |
{rows}"""


def _row(name: str, proof: Proof) -> str:
    happens = " ".join(inspect.cleandoc(proof.__doc__ or "").partition("\n\n")[0].split())
    stores = ", ".join(_STORES[each] for each in proof.STORES)
    size = f"{proof.SIZE:,} {proof.OF}"
    besides = ", ".join(needs(name)) or "–"
    cells = happens, proof.PROPERTY, stores, size, str(proof.SHORT), besides
    return f"| `{name}` | {' | '.join(cells)} |\n"
