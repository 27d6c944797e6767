"""The picture as a file of its own: needs nothing else, light or dark as its beholder likes."""

from __future__ import annotations

from typing import Final

from app.web.model.drawing import INSET, TELLS, TITLE, ground, labels, outline, text, titled
from app.web.model.graph import MEMORY
from app.web.model.layout import WIDTH, Box, layout

SHOWN: Final = 720
"""Pixels, where nobody says how wide it is to be: a page that begins with it shows more than it."""

_MODES: Final = {
    "inline": "written with the event",
    "follow": "written soon after",
    MEMORY: "held in memory",
}
_STYLE: Final = """
.model{--back:#fff;--ink:#16201b;--soft:#52605a;--line:#cbd6d1;--box:#fff;--log:#f1f5f3;
--user:#2f5fd0;--refresh_token:#0b7d69;--signing_key:#9a5b00;--of_log:#7a4fb5;--plain:#6b7a73;
font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
@media(prefers-color-scheme:dark){.model{--back:#0e1412;--ink:#e7eeea;--soft:#a0aea8;
--line:#34423c;--box:#18211d;--log:#121a17;--user:#86a8ff;--refresh_token:#4fcdb3;
--signing_key:#e6ac52;--of_log:#c3a1f2;--plain:#8b9a93}}
text{fill:var(--ink)}
.head{font-size:17px;font-weight:650}
.soft{fill:var(--soft)}
.small{font-size:11.5px}
.fact,.known,.ask{font:12.5px ui-monospace,"SF Mono","Cascadia Code",Menlo,Consolas,monospace}
.known{font-weight:600}
.back{fill:var(--back);stroke:var(--line)}
.frame{fill:var(--log);stroke:var(--line)}
.box{fill:var(--box);stroke:var(--line)}
.way,.tie{fill:none;stroke-width:1.5}
.way{stroke:var(--soft);stroke-linecap:round;stroke-linejoin:round}
.tie{stroke-opacity:.6}
.tie,.mark{stroke:var(--plain)}
.mark{stroke-width:4;stroke-linecap:round}
.of-user{stroke:var(--user)}
.of-refresh_token{stroke:var(--refresh_token)}
.of-signing_key{stroke:var(--signing_key)}
.of-log{stroke:var(--of_log)}
"""


def standalone() -> str:
    """The SVG."""
    found = layout()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="model" width="{SHOWN}" '
        f'height="{found.height * SHOWN // WIDTH}" viewBox="0 0 {WIDTH} {found.height}" role="img" '
        f'aria-labelledby="title tells">\n<title id="title">{TITLE}</title>\n'
        f'<desc id="tells">{TELLS}</desc>\n<style>{_STYLE}</style>\n'
        f'<rect class="back" x=".5" y=".5" width="{WIDTH - 1}" height="{found.height - 1}" '
        f'rx="14"/>\n{"".join(ground(found))}{"".join(map(_box, found.boxes))}</svg>\n'
    )


def _box(box: Box) -> str:
    how = ""
    if box.node.kind == "view":
        how = text("soft small", box.x + INSET, box.y + 35, _MODES[box.node.note])
    return f"<g>{titled(box)}{outline(box)}{''.join(labels(box))}{how}</g>\n"
