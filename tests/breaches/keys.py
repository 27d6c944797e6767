"""Signing keys that sign too early, or are kept too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.bootstrap import Service
    from tests.breaches import Breach


def _sign_at_once(service: Service, value: str) -> None:
    """A new signing key signs as soon as it is published."""
    del value
    service.key_rotation._lead = 0


def _keep_keys(service: Service, value: str) -> None:
    """Changes of the signing keys elsewhere aren't noticed."""

    async def keep(generation: int) -> None:
        del generation

    del value
    service.keys.at = keep  # type: ignore[method-assign]


BREACHES: Final[Mapping[str, Breach]] = {
    "NO_LEAD": _sign_at_once,
    "KEEP_KEYS": _keep_keys,
}
