"""Gatebook's client: requests that are authenticated, and requests whose caller is known.

`GatebookAuth` is for programs that call, `Verifier` for services that are called, `Gatebook` and
`AsyncGatebook` for what else the service can be asked.
"""

from gatebook_client.auth import GatebookAuth
from gatebook_client.cache import FileCache
from gatebook_client.errors import (
    ConfigurationError,
    GatebookError,
    Problem,
    ReauthenticationRequired,
    Refused,
    ServiceUnavailable,
    TokenRefused,
    TooManyAttempts,
    TryLater,
)
from gatebook_client.tokens import Tokens

__all__ = [
    "ConfigurationError",
    "FileCache",
    "GatebookAuth",
    "GatebookError",
    "Problem",
    "ReauthenticationRequired",
    "Refused",
    "ServiceUnavailable",
    "TokenRefused",
    "Tokens",
    "TooManyAttempts",
    "TryLater",
]
