"""What the address of a page may ask for: the parameters that several pages have, and their limits.

Knows no page.
"""

from __future__ import annotations

from typing import Annotated

from litestar.params import QueryParameter

Word = Annotated[str, QueryParameter(max_length=64)]
"""A name of ours, or a place in a list."""
Text = Annotated[str, QueryParameter(max_length=1024)]
"""What somebody typed."""
EventType = Annotated[str, QueryParameter(name="type", max_length=1024)]
Number = Annotated[int, QueryParameter(ge=0, le=10**15)]
