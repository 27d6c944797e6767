"""Everything that can go wrong, as one tree.

    GatebookError
    ├── ConfigurationError            the program or its user has to change something
    ├── ReauthenticationRequired      nothing that is held is accepted any more: log in again
    ├── Refused                       the service said no, with a problem (RFC 9457)
    │   ├── InvalidRequest, UnacceptableSecret                                  400
    │   ├── InvalidCredentials, InvalidToken                                    401
    │   ├── InsufficientPermission, RegistrationClosed                          403
    │   ├── NotFound                                                            404
    │   └── UserIdTaken, LastAdministrator, LogChanged, RebuildRunning          409
    ├── UnexpectedAnswer              neither a success nor a problem of the service's
    ├── TryLater                      the same may work later; `retry_after` says when, if known
    │   ├── TooManyAttempts                                                     429
    │   ├── ServiceUnavailable                                                  503, no connection
    │   ├── CacheUnavailable          the shared cache is locked, or can't be written
    │   └── VerifierNotReady          keys or revocations are too old to tell
    └── TokenRefused                  a verifier's no
        ├── TokenExpired
        ├── SessionEnded
        └── PermissionMissing         the token is good, and doesn't say that its user may

Knows no HTTP library.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one member of a request (RFC 6901)."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True):
    """The service's words for a refusal (RFC 9457)."""

    code: str
    status: int
    title: str = ""
    detail: str = ""
    type: str = "about:blank"
    request_id: str = ""
    reason: str | None = None
    permission: str | None = None
    errors: tuple[Fault, ...] = ()


class GatebookError(Exception):
    """Any of them."""

    def again(self) -> Self:
        """The same without its traceback, to be raised once more."""
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        other.__suppress_context__ = True
        return other


class ConfigurationError(GatebookError, ValueError):
    """The program, its environment or its files have to be changed."""


class ReauthenticationRequired(GatebookError):
    """What is held is refused and there is no secret to begin anew with; why is in `problem`."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class Refused(GatebookError):
    """The service's no; `problem` is all that it said."""

    def __init__(self, problem: Problem) -> None:
        faults = "".join(f" ({each.pointer}: {each.detail})" for each in problem.errors)
        super().__init__(f"{problem.code}: {problem.detail}{faults}")
        self.problem = problem


class InvalidRequest(Refused):
    """A member is missing, unknown or has a bad value; `problem.errors` names them."""


class UnacceptableSecret(Refused):
    """The secret is too short, too long or too common."""


class InvalidCredentials(Refused):
    """No such user, another secret, or disabled: the service doesn't say which."""


class InvalidToken(Refused):
    """The token is refused; for a genuine one `problem.reason` says why."""


class InsufficientPermission(Refused):
    """`problem.permission` is missing."""


class RegistrationClosed(Refused):
    """Only administrators make users here."""


class NotFound(Refused):
    """There is no such thing, or it is another's."""


class UserIdTaken(Refused):
    """Another user has this name."""


class LastAdministrator(Refused):
    """There would be no administrator left."""


class LogChanged(Refused):
    """The position belongs to another log: read again from the start."""


class RebuildRunning(Refused):
    """One rebuild runs at a time."""


class UnexpectedAnswer(GatebookError):
    """Something else than Gatebook answers there, or one that is newer than this client."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TryLater(GatebookError):
    """The same may work later: after `retry_after` seconds, where that is known."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, problem: Problem | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.problem = problem


class TooManyAttempts(TryLater):
    """The budget of attempts is spent for now."""


class ServiceUnavailable(TryLater):
    """The service can't be reached, or is overloaded."""


class CacheUnavailable(TryLater):
    """Another process holds the cache for too long, or a new token can't be stored in it."""


class VerifierNotReady(TryLater):
    """Keys or revocations are missing or too old, and the verifier is set to fail closed."""


class TokenRefused(GatebookError):
    """An access token that a verifier doesn't accept; never says which check it was."""


class TokenExpired(TokenRefused):
    """A genuine token that is past its time."""


class SessionEnded(TokenRefused):
    """A genuine token of a session that has ended, or of a key that was withdrawn."""


class PermissionMissing(TokenRefused):
    """The token is good; its user may not do this. `permission` says what is missing."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"This takes the permission {permission}.")
        self.permission = permission


BY_CODE: Final[dict[str, type[Refused]]] = {
    "invalid_request": InvalidRequest,
    "unacceptable_secret": UnacceptableSecret,
    "invalid_credentials": InvalidCredentials,
    "invalid_token": InvalidToken,
    "insufficient_permission": InsufficientPermission,
    "registration_closed": RegistrationClosed,
    "not_found": NotFound,
    "user_id_taken": UserIdTaken,
    "last_administrator": LastAdministrator,
    "log_changed": LogChanged,
    "rebuild_running": RebuildRunning,
}
"""What each code of a problem is raised as; any other one is `Refused` itself."""
