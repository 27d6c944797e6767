"""Finds pages by words: in their titles before headings, and in headings before the text.

Every word of a query must be in a page, whole or as the beginning of one there; endings that mean
little are left out, so that `rotating` finds `rotation`. Knows no HTML.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from app.web.markdown import Part

LONGEST: Final = 200
"""Characters of a query; what is behind them isn't looked for."""
MOST: Final = 20
"""Pages that are found at once."""

_WORD: Final = re.compile(r"[^\W_]+")
_ENDING: Final = re.compile(r"(?<=\w{4})(?:ations?|ating|ates?|ing|ions?|ed|es|e)$|(?<=\w{3})s$")
_WORDS_AT_ONCE: Final = 12
_BEFORE, _LENGTH = 60, 220
_SHORT: Final = 100
"""Words of a part."""
_IN_TITLE, _IN_HEADING, _WHOLE_WORD = 12.0, 5.0, 2.0


class Piece(NamedTuple):
    """A piece of an excerpt, and whether it is what was looked for."""

    text: str
    marked: bool


class Found(NamedTuple):
    """A page that was found: its number, its part that says most of it, and an excerpt of that."""

    page: int
    part: int
    excerpt: list[Piece]


class _Place(NamedTuple):
    page: int
    part: int


class Search:
    """An index over the parts of pages, each page a list whose first part has its title."""

    def __init__(self, pages: Sequence[Sequence[Part]]) -> None:
        self._pages = pages
        index: defaultdict[str, dict[_Place, float]] = defaultdict(dict)
        for page, parts in enumerate(pages):
            for number, part in enumerate(parts):
                for word, weight in _weights(part, first=number == 0).items():
                    index[word][_Place(page, number)] = weight
        self._index = dict(index)
        self._words = sorted(index)

    def find(self, query: str) -> list[Found]:
        """The pages that have every word of the query, the best one first."""
        asked = _words(query[:LONGEST])[:_WORDS_AT_ONCE]
        if not asked:
            return []
        scores = [self._scores(word) for word in asked]
        pages = set.intersection(*({place.page for place in each} for each in scores))
        ranked = sorted(
            (self._ranked(page, scores) for page in pages), key=lambda each: (-each[0], each[1])
        )
        return [
            Found(place.page, place.part, self._excerpt(place, asked)) for _, place in ranked[:MOST]
        ]

    def _scores(self, asked: str) -> dict[_Place, float]:
        """What each part is worth for one word."""
        stem = _ENDING.sub("", asked)
        alike = self._beginning_with(stem) if len(stem) > 1 else {stem} & self._index.keys()
        found: dict[_Place, float] = {}
        for word in alike:
            places = self._index[word]
            rarity = math.log(1 + len(self._pages) / len({place.page for place in places}))
            nearness = _WHOLE_WORD if word == asked else len(stem) / len(word)
            for place, weight in places.items():
                found[place] = max(found.get(place, 0.0), weight * rarity * nearness)
        return found

    def _beginning_with(self, stem: str) -> Iterator[str]:
        for place in range(bisect_left(self._words, stem), len(self._words)):
            if not self._words[place].startswith(stem):
                return
            yield self._words[place]

    def _ranked(self, page: int, scores: list[dict[_Place, float]]) -> tuple[float, _Place]:
        """What a page is worth, and the part that has most of the words."""
        places = [_Place(page, number) for number in range(len(self._pages[page]))]
        best = max(
            places,
            key=lambda place: (
                sum(place in each for each in scores),
                sum(each.get(place, 0.0) for each in scores),
                -place.part,
            ),
        )
        together = sum(each.get(best, 0.0) for each in scores)
        elsewhere = sum(max(each.get(place, 0.0) for place in places) for each in scores)
        return together + elsewhere, best

    def _excerpt(self, place: _Place, asked: Sequence[str]) -> list[Piece]:
        text = " ".join(self._pages[place.page][place.part].text.split())
        stems = tuple(_ENDING.sub("", word) for word in asked)
        marks = [
            found.span() for found in _WORD.finditer(text) if found[0].casefold().startswith(stems)
        ]
        start = max(0, marks[0][0] - _BEFORE) if marks else 0
        start = text.rfind(" ", 0, start) + 1
        end = text.find(" ", min(start + _LENGTH, len(text)))
        end = len(text) if end == -1 else end
        return list(_pieces(text, start, end, marks))


def _pieces(text: str, start: int, end: int, marks: list[tuple[int, int]]) -> Iterator[Piece]:
    if start:
        yield Piece("… ", marked=False)
    for first, last in marks:
        if start <= first and last <= end:
            yield Piece(text[start:first], marked=False)
            yield Piece(text[first:last], marked=True)
            start = last
    yield Piece(text[start:end], marked=False)
    if end < len(text):
        yield Piece(" …", marked=False)


def _weights(part: Part, *, first: bool) -> dict[str, float]:
    """How much each word of a part counts."""
    weights: defaultdict[str, float] = defaultdict(float)
    words = _words(part.text)
    # In a long part a word means less.
    diluted = math.sqrt(1 + len(words) / _SHORT)
    for word, times in Counter(words).items():
        weights[word] = (1 + math.log(times)) / diluted
    for word in set(_words(part.heading)):
        weights[word] += _IN_TITLE if first else _IN_HEADING
    return weights


def _words(text: str) -> list[str]:
    return [each.casefold() for each in _WORD.findall(text)]
