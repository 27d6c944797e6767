"""Makes the reference page of the JavaScript client of its source: what it exports, in its words.

Read by `tests.docs.typescript`. Knows nothing of what the client does.
"""

from __future__ import annotations

import json
import re
from typing import Final

from tests.docs.pages import ROOT
from tests.docs.typescript import Declaration, exported

JAVASCRIPT: Final = ROOT / "clients" / "javascript"

_MADE: Final = "This page is made from the source, by `python -m tests.docs.generate`."
_FIRST: Final = ("function", "class")


def javascript_page() -> str:
    """What `gatebook-client` for JavaScript has."""
    package = json.loads((JAVASCRIPT / "package.json").read_text("utf-8"))
    seen: dict[str, str] = {}
    parts = "".join(
        _entrance(each, seen) for each in package["exports"] if each != "./package.json"
    )
    return f"""\
# The JavaScript client

For a developer who wants to know exactly what `gatebook-client` for JavaScript has.
{_MADE}
What it does in which situation [is told elsewhere](../explanation/clients.md).
[Its README](../../clients/javascript/README.md) and
[a how-to](../how-to/use-the-javascript-client.md) show how it is used.

Node `{package["engines"]["node"]}`, and browsers. Types stand as TypeScript has them.
{parts}"""


def _entrance(name: str, seen: dict[str, str]) -> str:
    """What is imported from one place; what was told before is named."""
    entry = name.removeprefix("./") if name != "." else "index"
    config = (JAVASCRIPT / "tsdown.config.ts").read_text("utf-8")
    source = re.search(rf"\b{entry}: '([\w/]+\.ts)'", config)
    if source is None:
        raise LookupError(f"{name}: no source in tsdown.config.ts")
    found = sorted(exported(JAVASCRIPT / source[1]), key=lambda each: each.kind not in _FIRST)
    again = [each.name for each in found if each.name in seen]
    told = "".join(_declaration(each) for each in found if each.name not in seen)
    seen.update(dict.fromkeys((each.name for each in found), name))
    listed = ", ".join(f"[`{each}`](#{each.lower()})" for each in again)
    more = f"\nAnd as above: {listed}.\n" if again else ""
    whole = "gatebook-client" + name.removeprefix(".")
    return f"\n## {whole}\n{told}{more}"


def _declaration(each: Declaration) -> str:
    if each.kind in _FIRST and not each.says:
        raise ValueError(f"{each.name} has no words of its own.")
    if each.kind == "type":
        code = f"`type {each.name} = {each.text}`" if each.text else ""
    else:
        code = {"function": f"`{each.text}`", "class": f"`class {each.name} {each.text}`"}.get(
            each.kind, ""
        )
    said = f"{each.says.removesuffix('.')}." if each.says else ""
    members = "".join(
        f"- `{member.text}`{f': {member.says}' if member.says else ''}\n" for member in each.members
    )
    parts = (f"### {each.name}\n", *(f"{part}\n" for part in (code, said) if part), members)
    return "\n" + "\n".join(part for part in parts if part)
