"""The documentation, read and rendered once: its pages, their order, and what finds them.

Made by a thread when somebody asks for it first, which takes half a second; then kept. Knows no
request.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from app.web import docs_files
from app.web.docs_files import MAP, PICTURES, File
from app.web.docs_search import Found, Search
from app.web.markdown import Part, render

_OUTSIDE: Final = ("http://", "https://", "mailto:")
_DEEPEST: Final = 3
"""The level of headings that a page's table of contents still has."""


class Page(NamedTuple):
    """A page: the file that it is of, its title, its HTML, and its parts."""

    file: File
    title: str
    html: str
    parts: Sequence[Part]

    @property
    def contents(self) -> list[Part]:
        """What its table of contents has."""
        return [part for part in self.parts[1:] if part.level <= _DEEPEST]


class Section(NamedTuple):
    """A section of the documentation, and its pages in order."""

    name: str
    pages: list[Page]


class Library:
    """All pages; `base` stands before each path, where the service isn't at the top of its host."""

    def __init__(self, folder: Path, base: str = "") -> None:
        found = docs_files.files(folder)
        self._files = {each.name: each for each in found}
        self._base = base
        self.loose: list[str] = []
        """Links that lead nowhere, each with its file."""
        pages = [self._page(each, (folder / each.name).read_text("utf-8")) for each in found]
        self.pages: Mapping[str, Page] = {each.file.path: each for each in pages}
        order = list(self._order(folder))
        pages.sort(key=lambda page: order.index(page.file.name))
        self.sections = [
            Section(name, [page for page in pages if page.file.section == name])
            for name in docs_files.sections()
        ]
        self.reading: Sequence[Page] = pages
        """All of them, in the order in which they are read."""
        self._search = Search([page.parts for page in pages])

    def search(self, query: str) -> Iterator[tuple[Page, Part, Found]]:
        """The pages that a query finds, with the part to go to."""
        for found in self._search.find(query):
            page = self.reading[found.page]
            yield page, page.parts[found.part], found

    def around(self, page: Page) -> tuple[Page | None, Page | None]:
        """The page before and the page after."""
        place = self.reading.index(page)
        after = self.reading[place + 1 : place + 2]
        return self.reading[place - 1] if place else None, after[0] if after else None

    def _page(self, file: File, text: str) -> Page:
        def follow(link: str) -> str:
            leads = self._leads(file.name, link)
            if not leads:
                self.loose.append(f"{file.name}: {link}")
            return leads

        titled = text if text.startswith("# ") else f"# {file.title}\n\n{text}"
        html, parts = render(titled, follow)
        return Page(file, file.title or parts[0].heading, html, parts)

    def _leads(self, source: str, link: str) -> str:
        if link.startswith(_OUTSIDE):
            return link
        name, anchor = docs_files.target(source, link)
        if name in PICTURES:
            return f"{self._base}/{name}"
        if name not in self._files:
            return ""
        mark = f"#{anchor}" if anchor else ""
        return mark if name == source and mark else f"{self._base}{self._files[name].path}{mark}"

    def _order(self, folder: Path) -> Iterator[str]:
        """The names of all files: as the map lists them, then the others."""
        listed: list[str] = [MAP]

        def note(link: str) -> str:
            listed.append(docs_files.target(MAP, link)[0])
            return link

        if MAP in self._files:
            render((folder / MAP).read_text("utf-8"), note)
        return iter(dict.fromkeys((*listed, *self._files)))


async def library(base: str) -> Library:
    """The library of a service below this path; the first one waits until a thread has made it."""
    found = _made.get(base)
    return found if found is not None else await asyncio.to_thread(_make, base)


def _make(base: str) -> Library:
    with _making:
        if base not in _made:
            _made[base] = Library(docs_files.root(), base)
        return _made[base]


_made: Final[dict[str, Library]] = {}
_making: Final = threading.Lock()
