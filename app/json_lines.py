"""JSON that stays on its line: whatever could end one, or steer a terminal, is escaped.

Knows no item.
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

_SUSPICIOUS: Final = re.compile(r"[^\x20-\x7e]")


def json_line(item: object) -> str:
    """An item as JSON without a line end; some readers take U+2028 and U+0085 for one."""
    text = msgspec.json.encode(item).decode()
    if text.isprintable():
        return text
    return _SUSPICIOUS.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
