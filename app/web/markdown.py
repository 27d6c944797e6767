"""A text in Markdown as HTML: headings that can be linked, code in colours, tables that scroll.

HTML within a text is shown as it is written, and nothing has a style of its own. Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

Follow = Callable[[str], str]
"""Where a link leads, as a browser is to be told; the empty text for one that leads nowhere."""
Env = MutableMapping[str, Any]

_OUTPUT: Final = "text"
"""The language of what a command prints."""
_PLAIN: Final = frozenset({"", _OUTPUT})
_FORMATTER: Final = HtmlFormatter(nowrap=True, classprefix="hl-")
_UNCOLOURED: Final = re.compile(r'<span class="hl-(?:[wpn]|nx|esc)">([^<]*)</span>')
_SCROLLS: Final = 'tabindex="0"'
"""What is wider than the page scrolls, with the keyboard too."""


class Part(NamedTuple):
    """What stands under a heading, up to the next one, as plain text, without what is printed."""

    level: int
    anchor: str
    heading: str
    text: str


class Rendered(NamedTuple):
    """A text: its HTML, and its parts, of which the first is the whole text's heading."""

    html: str
    parts: list[Part]


def anchor(heading: str) -> str:
    """The name under which a heading is linked, as the common hosts of such texts make it."""
    kept = "".join(each for each in heading.lower() if each.isalnum() or each in " -_")
    return kept.replace(" ", "-")


def render(text: str, follow: Follow) -> Rendered:
    """The text as HTML."""
    tokens = _MARKDOWN.parse(text)
    parts = _parts(tokens)
    html: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {"follow": follow})
    return Rendered(html, parts)


def _parts(tokens: Sequence[Token]) -> list[Part]:
    """Give each heading its anchor, and gather what stands below it."""
    parts: list[Part] = []
    seen: dict[str, int] = {}
    said: list[str] = []
    heading: Token | None = None
    for token in tokens:
        if token.type == "heading_open":
            heading = token
        elif heading is not None and token.type == "inline":
            words = _plain(token)
            name = anchor(words)
            times = seen[name] = seen.get(name, -1) + 1
            name = f"{name}-{times}" if times else name
            heading.attrSet("id", name)
            if parts:
                parts[-1] = parts[-1]._replace(text=" ".join(said))
            parts.append(Part(int(heading.tag[1:]), name, words, ""))
            said, heading = [], None
        elif token.type in {"inline", "fence", "code_block"} and token.info != _OUTPUT:
            said.append(_plain(token))
    if parts:
        parts[-1] = parts[-1]._replace(text=" ".join(said))
    return parts


def _plain(token: Token) -> str:
    if token.children is None:
        return token.content.strip()
    breaks = {"softbreak", "hardbreak"}
    return "".join(" " if each.type in breaks else each.content for each in token.children)


class _Renderer(RendererHTML):
    """How each kind of token is written where it isn't as the library does.

    What a table is made of has its role said: where there is little room its cells stand one below
    another, each with its column's name, and a browser would take it for a table no more.
    """

    def heading_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env
    ) -> str:
        token = tokens[idx]
        name = token.attrGet("id")
        if token.tag == "h1":
            return f'<h1 id="{name}">'
        return f'<{token.tag} id="{name}"><a class="anchor" href="#{name}">'

    def heading_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env
    ) -> str:
        tag = tokens[idx].tag
        return f"</{tag}>\n" if tag == "h1" else f"</a></{tag}>\n"

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        leads = env["follow"](str(tokens[idx].attrGet("href") or ""))
        return f'<a href="{escapeHtml(leads)}">' if leads else "<a>"

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        leads = env["follow"](str(tokens[idx].attrGet("src") or ""))
        return f'<img src="{escapeHtml(leads)}" alt="{escapeHtml(_plain(tokens[idx]))}">'

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        env["heads"] = []
        return (
            f'<div class="table" role="group" aria-label="Table" {_SCROLLS}><table role="table">\n'
        )

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        return "</table></div>\n"

    def thead_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        return '<thead role="rowgroup">\n'

    def tbody_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        return '<tbody role="rowgroup">\n'

    def tr_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        env["column"] = 0
        return '<tr role="row">\n'

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        env["heads"].append(_plain(tokens[idx + 1]))
        # A heading that says nothing is none for a reader that is told of it.
        return '<th role="columnheader">' if tokens[idx + 1].content else '<td role="cell">'

    def th_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        return "</th>\n" if tokens[idx - 1].content else "</td>\n"

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        head = env["heads"][env["column"]]
        env["column"] += 1
        label = f' data-label="{escapeHtml(head)}"' if head and env["column"] > 1 else ""
        return f'<td role="cell"{label}>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        language = tokens[idx].info.strip().partition(" ")[0]
        kind = "output" if language == _OUTPUT else "code"
        code = _coloured(tokens[idx].content, language)
        return f'<pre class="{kind}" {_SCROLLS}><code>{code}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        return f"<pre {_SCROLLS}><code>{escapeHtml(tokens[idx].content)}</code></pre>\n"


def _coloured(code: str, language: str) -> str:
    if language in _PLAIN:
        return escapeHtml(code)
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return escapeHtml(code)
    return _UNCOLOURED.sub(r"\1", highlight(code, lexer, _FORMATTER))


_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
