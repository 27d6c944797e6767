"""Every refusal that Gatebook knows, as one tree.

Knows nothing of HTTP: a status belongs to `app.http.problems`, an exit code to `app.cli`.

::

    GatebookError
    ├── InvalidRequest                 invalid_request
    │   └── UnacceptableSecret         unacceptable_secret
    ├── InvalidCredentials             invalid_credentials
    ├── InvalidToken                   invalid_token
    ├── InsufficientPermission         insufficient_permission
    ├── RegistrationClosed             registration_closed
    ├── NotFound                       not_found
    ├── MethodNotAllowed               method_not_allowed
    ├── TooLarge                       too_large
    ├── UnsupportedMediaType           unsupported_media_type
    ├── Conflict                       internal_error
    │   ├── UserIdTaken                user_id_taken
    │   ├── LastAdministrator          last_administrator
    │   ├── LogChanged                 log_changed
    │   └── RebuildRunning             rebuild_running
    ├── TooManyAttempts                too_many_attempts
    ├── TryLater                       internal_error
    │   ├── Overloaded                 overloaded
    │   └── Unavailable                unavailable
    └── InternalError                  internal_error
        └── Damage                     internal_error
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, NamedTuple

TokenRefusal = Literal["expired", "revoked", "reused", "retired", "user_disabled"]

PARAMETERS: Final = "A parameter is not acceptable."
"""What is said of parameters before what is wrong with each."""
_REFUSED: Final[dict[TokenRefusal | None, str]] = {
    None: "The token is not valid. Authenticate to get a new one.",
    "expired": "The session of this token has run out. Authenticate to begin a new one.",
    "revoked": "The session of this token was ended. Authenticate to begin a new one.",
    "reused": "A refresh token that had been replaced was shown again, which ended its session: "
    "find out who else has it, and authenticate to begin a new one.",
    "retired": "This refresh token was replaced a moment ago. Use the newer one, which still "
    "works.",
    "user_disabled": "The user of this token is disabled. Ask an administrator.",
}


class Fault(NamedTuple):
    """One thing that is wrong with a request: where (RFC 6901) and what."""

    pointer: str
    detail: str


class GatebookError(Exception):
    """A refusal with a stable `code`; the message says what happened and what to do next."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title)

    @property
    def detail(self) -> str:
        """What happened, for a person; never holds a secret."""
        return str(self.args[0])


class InvalidRequest(GatebookError):
    """The request can't be read, or a value in it is not acceptable."""

    code = "invalid_request"
    title = "Invalid request"

    def __init__(self, detail: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.faults = faults

    @classmethod
    def of(cls, *faults: Fault) -> InvalidRequest:
        """Of parameters: the faults say it all."""
        return cls(PARAMETERS, faults)


class UnacceptableSecret(InvalidRequest):
    """The new secret is too short, too long or too common."""

    code = "unacceptable_secret"
    title = "Unacceptable secret"


class InvalidCredentials(GatebookError):
    """Unknown user, wrong secret or disabled user: one answer for all three."""

    code = "invalid_credentials"
    title = "Invalid credentials"

    def __init__(self, detail: str = "The user or the secret is not right.") -> None:
        super().__init__(detail)


class InvalidToken(GatebookError):
    """An access or refresh token is refused; a genuine one with a `reason`."""

    code = "invalid_token"
    title = "Invalid token"

    def __init__(
        self,
        detail: str = "",
        *,
        reason: TokenRefusal | None = None,
        shown: bool = True,
    ) -> None:
        super().__init__(detail or _REFUSED[reason])
        self.reason = reason
        self.shown = shown


class InsufficientPermission(GatebookError):
    """The caller lacks the named permission."""

    code = "insufficient_permission"
    title = "Insufficient permission"

    def __init__(self, permission: str, *others: str) -> None:
        """Any of the others would do as well."""
        some = f"one of the permissions {', '.join((permission, *others))}"
        super().__init__(f"This needs {some if others else f'the permission {permission}'}.")
        self.permission = permission


class RegistrationClosed(GatebookError):
    """Registration is closed by setting."""

    code = "registration_closed"
    title = "Registration closed"

    def __init__(self) -> None:
        super().__init__("Registration is closed. Ask an administrator for a user.")


class NotFound(GatebookError):
    """There is nothing of that name."""

    code = "not_found"
    title = "Not found"


class MethodNotAllowed(GatebookError):
    """The resource doesn't take this method."""

    code = "method_not_allowed"
    title = "Method not allowed"


class TooLarge(GatebookError):
    """The body is longer than this service reads."""

    code = "too_large"
    title = "Too large"


class UnsupportedMediaType(GatebookError):
    """The body is not of the media type that the resource takes."""

    code = "unsupported_media_type"
    title = "Unsupported media type"


class Conflict(GatebookError):
    """The wish doesn't fit what is already so. As such it is a fault: one in 2¹²⁸, of a new key."""


class UserIdTaken(Conflict):
    """Another user has this name."""

    code = "user_id_taken"
    title = "User id taken"

    def __init__(self) -> None:
        super().__init__("This user_id is taken. Choose another, or ask /userkey for its key.")


class LastAdministrator(Conflict):
    """The last enabled administrator stays."""

    code = "last_administrator"
    title = "Last administrator"

    def __init__(self) -> None:
        super().__init__("This is the last administrator. Make another one first.")


class LogChanged(Conflict):
    """The position belongs to another log, or lies beyond the head."""

    code = "log_changed"
    title = "Log changed"


class RebuildRunning(Conflict):
    """A rebuild is running already."""

    code = "rebuild_running"
    title = "Rebuild running"


class TooManyAttempts(GatebookError):
    """The budget of attempts is spent; `retry_after` is in seconds."""

    code = "too_many_attempts"
    title = "Too many attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts. Try again in {retry_after} seconds.")
        self.retry_after = retry_after


class TryLater(GatebookError):
    """The service can't do it now; `retry_after` is in seconds."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Overloaded(TryLater):
    """A queue is full."""

    code = "overloaded"
    title = "Overloaded"

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("The service is busy. Repeat the request.", retry_after)


class Unavailable(TryLater):
    """The store can't be reached or written in time; what was asked may still have been stored."""

    code = "unavailable"
    title = "Unavailable"

    def __init__(
        self,
        detail: str = "The store did not answer in time. Perhaps it was done: repeat the request.",
        retry_after: int = 1,
        *,
        unsure: bool = False,
    ) -> None:
        super().__init__(detail, retry_after)
        self.unsure = unsure
        """Whether it may be stored, for whoever waited until the writer had an answer."""


class InternalError(GatebookError):
    """A fault of the service itself."""


class Damage(InternalError):
    """The store does not hold what it must: an operator has to look. Never skipped over."""
