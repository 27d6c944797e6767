"""Gatebook's client: requests that are authenticated, and requests whose caller is known.

`GatebookAuth` is for programs that call, `Verifier` for services that are called, `Gatebook` and
`AsyncGatebook` for what else the service can be asked.
"""

from gatebook_client.async_gatebook import AsyncGatebook
from gatebook_client.auth import GatebookAuth
from gatebook_client.cache import FileCache
from gatebook_client.caller import Caller
from gatebook_client.errors import (
    CacheUnavailable,
    ConfigurationError,
    Fault,
    GatebookError,
    InsufficientPermission,
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    LastAdministrator,
    LogChanged,
    NotFound,
    PermissionMissing,
    Problem,
    ReauthenticationRequired,
    RebuildRunning,
    Refused,
    RegistrationClosed,
    ServiceUnavailable,
    SessionEnded,
    TokenExpired,
    TokenRefused,
    TooManyAttempts,
    TryLater,
    UnacceptableSecret,
    UnexpectedAnswer,
    UserIdTaken,
    VerifierNotReady,
)
from gatebook_client.gatebook import Gatebook
from gatebook_client.tokens import Tokens
from gatebook_client.verifier import Verifier
from gatebook_client.version import __version__

__all__ = [
    "AsyncGatebook",
    "CacheUnavailable",
    "Caller",
    "ConfigurationError",
    "Fault",
    "FileCache",
    "Gatebook",
    "GatebookAuth",
    "GatebookError",
    "InsufficientPermission",
    "InvalidCredentials",
    "InvalidRequest",
    "InvalidToken",
    "LastAdministrator",
    "LogChanged",
    "NotFound",
    "PermissionMissing",
    "Problem",
    "ReauthenticationRequired",
    "RebuildRunning",
    "Refused",
    "RegistrationClosed",
    "ServiceUnavailable",
    "SessionEnded",
    "TokenExpired",
    "TokenRefused",
    "Tokens",
    "TooManyAttempts",
    "TryLater",
    "UnacceptableSecret",
    "UnexpectedAnswer",
    "UserIdTaken",
    "Verifier",
    "VerifierNotReady",
    "__version__",
]
