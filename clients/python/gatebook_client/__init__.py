"""Gatebook's client: requests that are authenticated, and requests whose caller is known.

`GatebookAuth` is for programs that call, `Verifier` for services that are called, `Gatebook` and
`AsyncGatebook` for what else the service can be asked.
"""

from gatebook_client.async_gatebook import AsyncGatebook
from gatebook_client.auth import GatebookAuth
from gatebook_client.cache import FileCache
from gatebook_client.caller import Caller
from gatebook_client.errors import (
    ConfigurationError,
    GatebookError,
    PermissionMissing,
    Problem,
    ReauthenticationRequired,
    Refused,
    ServiceUnavailable,
    SessionEnded,
    TokenExpired,
    TokenRefused,
    TooManyAttempts,
    TryLater,
    VerifierNotReady,
)
from gatebook_client.gatebook import Gatebook
from gatebook_client.tokens import Tokens
from gatebook_client.verifier import Verifier

__all__ = [
    "AsyncGatebook",
    "Caller",
    "ConfigurationError",
    "FileCache",
    "Gatebook",
    "GatebookAuth",
    "GatebookError",
    "PermissionMissing",
    "Problem",
    "ReauthenticationRequired",
    "Refused",
    "ServiceUnavailable",
    "SessionEnded",
    "TokenExpired",
    "TokenRefused",
    "Tokens",
    "TooManyAttempts",
    "TryLater",
    "Verifier",
    "VerifierNotReady",
]
