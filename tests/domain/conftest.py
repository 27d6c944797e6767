"""Hypothesis without a deadline: a slow machine is not a wrong answer."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("gatebook", deadline=None)
settings.load_profile("gatebook")
