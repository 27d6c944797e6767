"""The comparison of rules for rotating, as a page of the documentation and as a picture.

Knows figures, and not how they came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.compared import Figures

HOUR: Final = 3_600
_ALT: Final = "Log-outs of honest clients and hours until a thief is found, for each of the rules"
_SHOWN: Final = f"[![{_ALT}](../rotation.svg)](../rotation.svg)"
WIDTH: Final = 760
ROW: Final = 34
TOP: Final = 92
LEFT: Final = 178
PANEL: Final = 230
GAP: Final = 60


def page(found: Sequence[Figures]) -> str:
    """The page."""
    rows = "".join(_row(each) for each in found)
    clients, thefts = found[0].clients, found[0].thefts
    named = {each.name: each for each in found}
    minute, hour = named["Gatebook, window 60 s"], named["Gatebook, window 1 h"]
    once = named["One use"]
    return f"""\
# Rules for rotating, compared

For whoever chooses a retry window, and whoever wonders what one is good for.
This page and its picture are made by `.venv/bin/python -m tests.simulation.compared`, from the
project's root, where `./run` has made `.venv`.

A refresh token that [rotates](life-of-a-session.md#rotating) can be shown by two: its owner, who
lost an answer, or a thief. Whoever refuses too early logs out honest people, and whoever is
patient gives a thief time. So {clients:,} ordinary clients lived for a month under each of these
rules, and {thefts:,} others had their token stolen. Each life is of one session, told by its
requests and their times (`tests/simulation/lives.py`); processes, stores and faults are what
[`./run prove simulated`](../reference/proofs.md) is about.

{_SHOWN}

{_table_head(thefts)}
| --- | ---: | ---: | ---: | ---: |
{rows}
The hours are those of the thieves who got in, from the first time that one did to the end of the
session, however long before that the token was taken: half of them, and 95 in 100, had been found
by then. {_left(found)}

- **Gatebook** is [what this service does](life-of-a-session.md#a-retired-token-that-comes-later),
  with four values of [`GATEBOOK_REFRESH_RETRY_WINDOW`](../reference/settings.md); 60 s is the
  default. The very rules of `domain/session_rules.py` were asked.
- **One use**: a token is good once. Whoever shows it again ends the session.
- **Reuse interval 10 s**: the token before the newest is good for ten seconds more.
- **Previous always good**: the token before the newest is good until the next rotation.

## What it says

A minute finds a thief as soon as one use does, which is as soon as the other of the two renews
next; the hours are mostly nights and weekends, in which nobody did. And it logs out one honest
client where one use logs out {once.log_outs / max(1, minute.log_outs):.0f}. What is left are those
who lost an answer and didn't ask again within the minute, because they fell asleep or were in a
tunnel. A window of ten seconds comes to what a fixed interval of ten seconds does.

A longer window keeps these too. But where it is as long as the time between two renewals, here an
hour, owner and thief can take turns: each shows the token just before the newest, in time. They
are found out only when one of them pauses, which takes {hour.median_s / minute.median_s:.1f} times
as long. So a window should stay well below the life of the [access tokens](life-of-a-token.md),
unless clients are away for long in the midst of a request.

## The clients, and what this leaves out

An ordinary client renews its tokens every hour while it is in use, for some hours a day, from one
to three tabs that share them without a lock. One request in 200 is lost, and one answer in 200;
three in four of those who hear nothing ask again within fifteen seconds, one in a hundred
only hours or days later. One request in 1,000 arrives twice. Every renewal rotates. A thief takes
the newest token, uses it between a second and a week later, and from then on every hour.

These are assumptions, and other ones give other figures; what can be compared is the rules, since
the same clients and the same thieves met all of them. They keep to no rule for clients: [the ones
of this service](life-of-a-session.md#when-every-refresh-rotates) are there so that nobody is
logged out at all, which `./run prove simulated` tries. Nor do thieves who never come back, or
owners, show here: of two who don't both use their token, nobody is found by rotation.
"""


def _left(found: Sequence[Figures]) -> str:
    """What became of those who weren't found in the month."""
    left = sum(each.undetected for each in found)
    if left:
        return f"Under all rules together {left:,} went on until the end of the month, uncounted."
    return (
        "None went on until the end of the month: a thief comes back every hour, and so does the\n"
        "owner, so sooner or later the two meet."
    )


def _table_head(thefts: int) -> str:
    columns = (
        "rules",
        "honest clients logged out, per 1,000 months",
        f"thieves who got in, of {thefts:,}",
        "hours until the session ended, from a thief's first success: half of them",
        "hours until 95 in 100 of them had ended",
    )
    return f"| {' | '.join(columns)} |"


def _row(each: Figures) -> str:
    return (
        f"| {each.name} | {_log_outs(each):,.0f} | {each.got_in:,} | {_hours(each.median_s)} "
        f"| {_hours(each.late_s)} |\n"
    )


def _log_outs(each: Figures) -> float:
    return each.log_outs * 1_000 / each.clients


def _hours(seconds: int) -> str:
    return f"{seconds / HOUR:.1f}"


def picture(found: Sequence[Figures]) -> str:
    """Two bars for each kind of rules: how many honest are logged out, how long a thief lasts."""
    height = TOP + ROW * len(found) + 12
    most_out = max(_log_outs(each) for each in found) or 1
    most_hours = max(each.median_s for each in found) / HOUR or 1
    second = LEFT + PANEL + GAP
    lines = [
        _text(LEFT, 58, "Honest clients logged out,", "soft"),
        _text(LEFT, 76, "per 1,000 months", "soft"),
        _text(second, 58, "Hours from a thief's first success", "soft"),
        _text(second, 76, "to the end of the session, median", "soft"),
    ]
    for number, each in enumerate(found):
        y = TOP + ROW * number
        mark = " own" if each.name.startswith("Gatebook") else ""
        hours = each.median_s / HOUR
        lines.append(_text(LEFT - 10, y + 20, each.name, f"name{mark}"))
        lines += _bar(LEFT, y, _log_outs(each) / most_out, f"{_log_outs(each):,.0f}", mark)
        lines += _bar(second, y, hours / most_hours, f"{hours:.1f}", mark)
    body = "\n".join(lines)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" class="rules" width="{WIDTH}" height="{height}" \
viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title tells">
<title id="title">Rules for rotating refresh tokens, compared</title>
<desc id="tells">{escape(_told(found))}</desc>
<style>
.rules{{--back:#fff;--ink:#16201b;--soft:#52605a;--own:#0b7d69;--other:#6b7a73;
font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}}
@media(prefers-color-scheme:dark){{.rules{{--back:#0e1412;--ink:#e7eeea;--soft:#a0aea8;
--own:#4fcdb3;--other:#8b9a93}}}}
text{{fill:var(--ink)}}
.head{{font-size:17px;font-weight:650}}
.soft{{fill:var(--soft)}}
.name{{text-anchor:end}}
.back{{fill:var(--back)}}
rect{{fill:var(--other)}}
rect.own{{fill:var(--own)}}
</style>
<rect class="back" style="fill:var(--back)" width="{WIDTH}" height="{height}"/>
{_text(20, 28, "Rules for rotating refresh tokens", "head")}
{body}
</svg>
"""


def _told(found: Sequence[Figures]) -> str:
    return " ".join(
        f"{each.name}: {_log_outs(each):,.0f} log-outs, {each.median_s / HOUR:.1f} hours."
        for each in found
    )


def _bar(x: int, y: int, share: float, value: str, mark: str) -> list[str]:
    wide = max(1, round(share * (PANEL - 50)))
    kind = f' class="{mark.strip()}"' if mark else ""
    return [
        f'<rect{kind} x="{x}" y="{y + 5}" width="{wide}" height="{ROW - 14}" rx="2"/>',
        _text(x + wide + 6, y + 20, value, "soft"),
    ]


def _text(x: int, y: int, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>'
