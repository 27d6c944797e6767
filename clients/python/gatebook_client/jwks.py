"""The issuer's keys: fetched once for all who wait, renewed beside the work, kept when it is away.

Knows no token.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

import msgspec

from gatebook_client.errors import GatebookError, ServiceUnavailable, VerifierNotReady
from gatebook_client.flight import SingleFlight
from gatebook_client.forks import renewed
from gatebook_client.keys import PublicKey, read_key
from gatebook_client.service import Asked, Service
from gatebook_client.wire import read

PATH: Final = "/.well-known/jwks.json"
STALE_IF_ERROR: Final = 3600.0
"""Seconds past their age for which keys are used when no newer ones can be had."""
UNKNOWN_KEY_EVERY: Final = 30.0
"""Seconds between two fetches that tokens of unknown keys can bring about."""
_AFTER_A_FAILURE: Final = 5.0
_RENEW_AT: Final = 0.8
"""Of their age, when newer ones are fetched beside the work."""
_AGES: Final = (1.0, 3600.0)
_NO_AGE: Final = 300.0
_NOT_MODIFIED: Final = 304
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})")

_logger = logging.getLogger("gatebook_client")


class KeySet(msgspec.Struct, frozen=True):
    """Keys by the header of their tokens and by kid; `at` is monotonic, `age` in s."""

    by_header: Mapping[bytes, PublicKey]
    by_kid: Mapping[str, PublicKey]
    etag: str | None
    at: float
    age: float


class _Published(msgspec.Struct, frozen=True):
    keys: list[Any]
    """Each is looked at alone: an odd one voids no other."""


class Keys:
    """For any number of threads and event loops."""

    def __init__(self, service: Service, *, stale_if_error: float = STALE_IF_ERROR) -> None:
        self._service = service
        self._stale_if_error = stale_if_error
        self._lock = threading.Lock()
        self._set: KeySet | None = None
        self._asked_at = -1e9
        """When the last fetch began (monotonic)."""
        self._failed_at: float | None = None
        """When the last fetch failed, until one doesn't."""
        self._dropped = 0
        """How often what was known had to be forgotten."""
        self._gone: set[str] = set()
        """Withdrawn since the fetch that is on began."""
        self._wanted = False
        """Whether newer ones are, before it is time: by a fetch that passes every HTTP cache by."""
        self._error: Exception | None = None
        self._flight = SingleFlight("keys", self._fetch)
        self.fetches = 0
        """How many fetches there were."""
        renewed(self)

    def forked(self) -> None:
        """In a forked process: what is known is as good there."""
        self._lock = threading.Lock()

    @property
    def age(self) -> float | None:
        """Seconds since they were fetched; None when there are none."""
        known = self._set
        return None if known is None else time.monotonic() - known.at

    @property
    def usable(self) -> bool:
        """Whether there are any, and they are not too old."""
        known = self._set
        return known is not None and not self._is_useless(known)

    def current(self) -> KeySet | Future[KeySet]:
        """What can be used at once, or what has to be waited for; raises VerifierNotReady."""
        known, now = self._set, time.monotonic()
        failing = self._failed_at is not None
        may_ask = not failing or now - (self._failed_at or 0.0) > _AFTER_A_FAILURE
        if known is None:
            if may_ask:
                return self._flight.join(lambda: self._set)
            raise self._missing()
        age = now - known.at
        useless = self._is_useless(known)
        if (self._wanted or age > known.age * _RENEW_AT) and may_ask:
            flying = self._flight.join(lambda: self._set if self._set is not known else None)
            if useless or (age > known.age and not failing):
                return flying
        if useless:
            raise self._missing()
        return known

    def after_unknown(self) -> Future[KeySet]:
        """Newer keys, which may have the one that a token names: by the fetch that is on.

        One is begun for that only so often; else it is what is known.
        """
        return self._flight.join(self._asked_lately)

    def late(self) -> None:
        """Nothing came in the time that one may wait: others needn't wait as long at once."""
        with self._lock:
            self._failed_at = time.monotonic()
            self._error = ServiceUnavailable("nothing was answered in time.")

    def kept(self) -> KeySet:
        """What may be used although nothing newer could be had; raises VerifierNotReady."""
        known = self._set
        if known is None or self._is_useless(known):
            raise self._missing()
        return known

    def withdrawn(self, kid: str) -> None:
        """Fetch them again, beside the work, if they have this one."""
        with self._lock:
            self._gone.add(kid)
            if self._set is None or kid not in self._set.by_kid:
                return
            self._wanted = True
        self._flight.join()

    def drop(self) -> None:
        """Forget them: none is good until they have been fetched again."""
        with self._lock:
            self._dropped += 1
            self._set, self._failed_at, self._wanted = None, None, True
        self._flight.join()

    def _is_useless(self, known: KeySet) -> bool:
        return time.monotonic() - known.at > known.age + self._stale_if_error

    def _missing(self) -> VerifierNotReady:
        return VerifierNotReady(
            f"The keys of {self._service.url} can't be had, or are too old: {self._error}",
            retry_after=_AFTER_A_FAILURE,
        )

    def _asked_lately(self) -> KeySet | None:
        lately = time.monotonic() - self._asked_at < UNKNOWN_KEY_EVERY
        return self._set if lately else None

    def _fetch(self) -> KeySet:
        while True:
            with self._lock:
                dropped, known = self._dropped, self._set
                self._gone.clear()
            try:
                found = self._fetched(known)
            except Exception as error:
                self._error, self._failed_at = error, time.monotonic()
                _logger.warning("The keys of %s could not be fetched: %s", self._service.url, error)
                if isinstance(error, GatebookError):
                    raise
                raise self._missing() from error
            with self._lock:
                # What was asked for before may be what is forgotten, or withdrawn, since.
                if dropped == self._dropped and self._gone.isdisjoint(found.by_kid):
                    self._set, self._failed_at, self._error = found, None, None
                    self._wanted = False
                    return found

    def _fetched(self, known: KeySet | None) -> KeySet:
        self.fetches += 1
        self._asked_at = time.monotonic()
        headers = {"If-None-Match": known.etag} if known and known.etag else {}
        early = known is not None and self._asked_at - known.at < known.age * _RENEW_AT
        if self._wanted or early:
            headers["Cache-Control"] = "no-cache"
        answer, sent, _ = self._service.ask(Asked("GET", PATH, headers=headers))
        age = _age(answer.headers.get("cache-control", ""))
        if answer.status == _NOT_MODIFIED and known is not None:
            return msgspec.structs.replace(known, at=sent, age=age)
        keys = [key for jwk in read(answer, _Published).keys if (key := read_key(jwk))]
        if not keys:
            raise VerifierNotReady(f"{self._service.url}{PATH} has no key for access tokens.")
        return KeySet(
            {key.header: key for key in keys},
            {key.kid: key for key in keys},
            answer.headers.get("etag"),
            sent,
            age,
        )


def _age(cache_control: str) -> float:
    found = _MAX_AGE.search(cache_control)
    return min(max(float(found[1]), _AGES[0]), _AGES[1]) if found else _NO_AGE
