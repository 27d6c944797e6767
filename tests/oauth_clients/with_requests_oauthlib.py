"""requests-oauthlib's client.

It has no discovery, no introspection and no revocation of its own: the first is a request without
a token, the others are posts of what oauthlib prepares. Knows no test.
"""

from __future__ import annotations

from typing import Any, Final

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

from tests.oauth_clients.program import Program, Way, spelled

_METADATA: Final = "/.well-known/oauth-authorization-server"


class WithRequestsOAuthlib:
    """A client, and the last answer that it had."""

    Refusal: Final = OAuth2Error

    def __init__(self, program: Program, way: Way) -> None:
        self.client = BackendApplicationClient(program.client_id)
        self.session = OAuth2Session(client=self.client)
        self.secret = spelled(program.secret, way)
        shown = {"client_id": program.client_id, "client_secret": program.secret}
        self.posted = shown if way is Way.POSTED else {}
        self.auth = None if self.posted else (program.client_id, self.secret)
        self.answer: Any = None
        self.session.hooks["response"].append(self._keep)
        self.at = self.session.get(program.issuer + _METADATA, withhold_token=True).json()

    def granted(self, grant_type: str = "client_credentials", **more: str) -> dict[str, Any]:
        """The tokens of a grant."""
        self.client.grant_type = grant_type
        return _told(
            self.session.fetch_token(
                self.at["token_endpoint"],
                client_secret=self.secret,
                include_client_id=bool(self.posted),
                **more,
            )
        )

    def refreshed(self, token: str) -> dict[str, Any]:
        """The tokens that follow a refresh token."""
        url = self.at["token_endpoint"]
        return _told(self.session.refresh_token(url, token, auth=self.auth, **self.posted))

    def introspected(self, token: str) -> dict[str, Any]:
        """What is told of a token."""
        url = self.at["introspection_endpoint"]
        return self._post(url, {"token": token, **self.posted}).json()

    def revoke(self, token: str) -> None:
        """End the session of a token."""
        url = self.at["revocation_endpoint"]
        url, headers, body = self.client.prepare_token_revocation_request(
            url, token, token_type_hint=None, **self.posted
        )
        self._post(url, body, headers).raise_for_status()

    def get(self, url: str) -> Any:
        """What stands there for the holder of the token that was granted last."""
        return self.session.get(url).json()

    def _post(self, url: str, body: Any, headers: Any = None) -> Any:
        # Beside a posted secret the session's own access token would be a second way.
        withhold = {"withhold_token": True}
        return self.session.post(url, body, headers=headers, auth=self.auth, **withhold)

    def _keep(self, answer: Any, **_: Any) -> None:
        self.answer = answer


def _told(token: Any) -> dict[str, Any]:
    """What was answered: the library makes a list of the scope."""
    return {**token, "scope": " ".join(token["scope"])}
