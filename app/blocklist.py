"""The secrets that too many people use: the 10,000 commonest of 8 characters and more.

Only reads the list that ships beside it (`app/data/README.md` says where that is from); what is
refused because of it is decided by `domain.user_secret`.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files


@cache
def load() -> frozenset[str]:
    """The common secrets, case-folded; read once, on first use."""
    packed = files("app").joinpath("data", "common_secrets.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())
