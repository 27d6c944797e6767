"""Old payloads to newer shapes, while reading.

One pure function for each (name, version): it takes the payload of that version, as a dict of
its stored members (sealed ones as bytes), and returns that of the next. No event has a second
version yet. A sealed member keeps its name for ever: its blob is bound to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Payload = dict[str, object]
Upcast = Callable[[Payload], Payload]

UPCASTS: dict[tuple[str, int], Upcast] = {}


def upcast(
    name: str, schema: int, newest: int, payload: Payload, upcasts: Mapping[tuple[str, int], Upcast]
) -> Payload:
    """Bring a payload from version `schema` to `newest`, a step at a time.

    Raises `KeyError` when a step is missing: a released version without its upcast.
    """
    for version in range(schema, newest):
        payload = upcasts[name, version](payload)
    return payload
