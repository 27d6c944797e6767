"""Makes the page of the proofs of what each of them says of itself.

Knows no property.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

from tests.prove.__main__ import NAMES, SECONDS_A_NAME, proof_of

if TYPE_CHECKING:
    from tests.prove.__main__ import Proof

_MADE: Final = "This page is made from the source, by `python -m tests.docs.generate`."
_STORES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def proofs_page() -> str:
    """Every proof: what it is about, where, and how much of it is tried."""
    rows = "".join(_row(name, proof_of(name)) for name in NAMES)
    return f"""\
# Proofs

For whoever wants a promise shown, and whoever changes what keeps it.
{_MADE}

`./run prove` tries all of these at full size, each on its stores, one after the other; with names
after it, those alone. A name takes {SECONDS_A_NAME // 60} minutes at most: no round of it begins
that would end later, what isn't finished then says so, and the same command goes on where it was.
A change of the product begins all of them anew, one of a proof those that run it. `--short` tries
one small step, as `./run test` does with every one of them; `--hours N` is for what goes by time.
`--table` runs nothing and tells what was found so far.

It needs what `./run test` installs, and a C compiler (`cc`) for the proofs of disks and Node.js for
those of the JavaScript client. What can't be tried says why, and is no success. Those that
say what is answered in time (`full_disk`, `restarted`, `cut_off`, `failover`, `stopped`, `alike`)
want the machine for themselves.

What is told of each is how often it was tried, how often it was violated, and whether its control
was noticed: a breach that is made on purpose, such as a server that remembers what it mustn't. One
that goes unnoticed is a failure, as is a proof without any. The exit code is 0 when all that was
asked for was tried at its size and held.

A proof is the module of `tests/prove` that has its name. The sizes are those of each store, so
that a thousand kills are five hundred and five hundred.

Signatures and tokens that broke other libraries, [Project Wycheproof](https://github.com/C2SP/wycheproof)'s,
are no proof of this list: they are few, and each `./run test` shows all of them to the service, to
the Python client and to the JavaScript client.

| name | what happens | what must hold | stores | size | short |
| --- | --- | --- | --- | --- | --- |
{rows}"""


def _row(name: str, proof: Proof) -> str:
    happens = " ".join(inspect.cleandoc(proof.__doc__ or "").partition("\n\n")[0].split())
    stores = ", ".join(_STORES[each] for each in proof.STORES)
    size = f"{proof.SIZE:,} {proof.OF}"
    return f"| `{name}` | {happens} | {proof.PROPERTY} | {stores} | {size} | {proof.SHORT} |\n"
