"""Finds pages by words: in their titles before headings, and in headings before the text.

Every word of a query must be in a page, whole or as the beginning of one there; endings that mean
little are left out, so that `rotating` finds `rotation`. A name of several words, as
`GATEBOOK_SESSION_IDLE`, is found by them, and counts for more where it stands as a whole. Knows
no HTML.
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
_NAME: Final = re.compile(r"[^\W_]+(?:_[^\W_]+)+")
_ENDING: Final = re.compile(r"(?<=\w{4})(?:ations?|ating|ates?|ing|ions?|ed|es|e)$|(?<=\w{3})s$")
_WORDS_AT_ONCE: Final = 8
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


class _Word(NamedTuple):
    """A word: how rare it is, and how much it counts in each part of each page that has it."""

    rarity: float
    places: dict[int, dict[int, float]]


class Search:
    """An index over the parts of pages, each page a list whose first part has its title."""

    def __init__(self, pages: Sequence[Sequence[Part]]) -> None:
        self._texts = [[" ".join(part.text.split()) for part in parts] for parts in pages]
        found: defaultdict[str, defaultdict[int, dict[int, float]]]
        found = defaultdict(lambda: defaultdict(dict))
        for page, parts in enumerate(pages):
            for number, part in enumerate(parts):
                for word, weight in _weights(part, first=number == 0).items():
                    found[word][page][number] = weight
        self._index = {
            word: _Word(math.log(1 + len(pages) / len(places)), dict(places))
            for word, places in found.items()
        }
        self._words = sorted(found)

    def find(self, query: str) -> list[Found]:
        """The pages that have every word of the query, the best one first."""
        asked = list(dict.fromkeys(_words(query[:LONGEST])))[:_WORDS_AT_ONCE]
        if not asked:
            return []
        scores = [self._scores(word) for word in asked]
        names = [self._scores(name) for name in _names(query[:LONGEST])[:_WORDS_AT_ONCE]]
        ranked = sorted(
            (_ranked(page, [each[page] for each in (*scores, *names) if page in each])
             for page in set.intersection(*map(set, scores))),
            key=lambda each: (-each[0], *each[1:]),
        )  # fmt: skip
        wanted = _wanted(asked)
        return [
            Found(page, part, self._excerpt(page, part, wanted)) for _, page, part in ranked[:MOST]
        ]

    def _scores(self, asked: str) -> dict[int, dict[int, float]]:
        """What each part of each page is worth for one word."""
        stem = _stem(asked)
        found: dict[int, dict[int, float]] = {}
        for word in self._alike(stem):
            rarity, pages = self._index[word]
            worth = rarity * (_WHOLE_WORD if word == asked else len(stem) / len(word))
            for page, parts in pages.items():
                known = found.setdefault(page, {})
                for part, weight in parts.items():
                    if weight * worth > known.get(part, 0.0):
                        known[part] = weight * worth
        return found

    def _alike(self, stem: str) -> Iterator[str]:
        """The words that begin so; a single letter is a word by itself."""
        for place in range(bisect_left(self._words, stem), len(self._words)):
            word = self._words[place]
            if not word.startswith(stem) or (len(stem) == 1 and word != stem):
                return
            yield word

    def _excerpt(self, page: int, part: int, wanted: re.Pattern[str]) -> list[Piece]:
        text = self._texts[page][part]
        first = wanted.search(text)
        start = max(0, first.start() - _BEFORE) if first else 0
        start = text.rfind(" ", 0, start) + 1
        end = text.find(" ", min(start + _LENGTH, len(text)))
        end = len(text) if end == -1 else end
        marks = [found.span() for found in wanted.finditer(text, start, end)]
        return list(_pieces(text, start, end, marks))


def _ranked(page: int, scores: Sequence[dict[int, float]]) -> tuple[float, int, int]:
    """What a page is worth, the page, and the part that has most of the words."""
    together: defaultdict[int, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for each in scores:
        for part, score in each.items():
            words, worth = together[part]
            together[part] = words + 1, worth + score
    best = max(together, key=lambda part: (*together[part], -part))
    return together[best][1] + sum(max(each.values()) for each in scores), page, best


def _stem(word: str) -> str:
    return _ENDING.sub("", word)


def _wanted(asked: Sequence[str]) -> re.Pattern[str]:
    """What is marked in a text."""
    stems = sorted(map(_stem, asked), key=len, reverse=True)
    begun = "|".join(rf"{each}[^\W_]*" if len(each) > 1 else each for each in stems)
    return re.compile(rf"(?<![^\W_])(?:{begun})(?![^\W_])", re.IGNORECASE)


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
    for word, times in Counter((*words, *_names(part.text))).items():
        weights[word] = (1 + math.log(times)) / diluted
    for word in {*_words(part.heading), *_names(part.heading)}:
        weights[word] += _IN_TITLE if first else _IN_HEADING
    return weights


def _words(text: str) -> list[str]:
    return [each.casefold() for each in _WORD.findall(text)]


def _names(text: str) -> list[str]:
    return [each.casefold() for each in _NAME.findall(text)]
