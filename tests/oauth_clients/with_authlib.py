"""Authlib's client, on requests.

Knows no test.
"""

from __future__ import annotations

from typing import Any, Final

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

from tests.oauth_clients.program import Program, Way, spelled

_POST: Final = "client_secret_post"


class WithAuthlib:
    """A client, and the last answer that it had."""

    Refusal: Final = OAuthError

    def __init__(self, program: Program, way: Way) -> None:
        method = _POST if way is Way.POSTED else None
        secret = spelled(program.secret, way)
        self.session = OAuth2Session(
            program.client_id,
            secret,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
        )
        # Authlib has no way of its own for bytes; requests, on which it stands, has.
        self.auth = (program.client_id, secret) if way is Way.AS_IT_IS else None
        self.answer: Any = None
        self.session.hooks["response"].append(self._keep)
        well_known = get_well_known_url(program.issuer, external=True)
        found = self.session.get(well_known, withhold_token=True).json()
        self.at = AuthorizationServerMetadata(found)

    def granted(self, grant_type: str = "client_credentials", **more: str) -> dict[str, Any]:
        """The tokens of a grant."""
        url = self.at["token_endpoint"]
        return self.session.fetch_token(url, grant_type=grant_type, auth=self.auth, **more)

    def refreshed(self, token: str) -> dict[str, Any]:
        """The tokens that follow a refresh token."""
        return self.session.refresh_token(self.at["token_endpoint"], token, auth=self.auth)

    def introspected(self, token: str) -> dict[str, Any]:
        """What is told of a token."""
        url = self.at["introspection_endpoint"]
        return self.session.introspect_token(url, token, auth=self.auth).json()

    def revoke(self, token: str) -> None:
        """End the session of a token."""
        url = self.at["revocation_endpoint"]
        self.session.revoke_token(url, token, auth=self.auth).raise_for_status()

    def get(self, url: str) -> Any:
        """What stands there for the holder of the token that was granted last."""
        return self.session.get(url).json()

    def _keep(self, answer: Any, **_: Any) -> None:
        self.answer = answer
