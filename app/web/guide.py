"""The start page: what this is, to be tried by whoever comes, and where to go from there.

Its forms call the JSON API from the visitor's own browser. Knows no use case.
"""

from typing import Final

from litestar import Response, get

from app.http.auth import service_of
from app.http.form import FormRequest
from app.web.controller import PageController
from app.web.page import page
from app.web.snippet import EXAMPLES, LANGUAGES, SNIPPETS, pieces
from app.web.wording import WORDS

HEADER: Final = {
    "alg": "the algorithm of the signature, and the only one that its key is good for",
    "typ": "that it is an access token, and nothing that looks like one",
    "kid": "which of the public keys opens it",
}
"""What stands in a token's header, in order."""
CLAIMS: Final = {
    "iss": "who gave it: this service",
    "sub": "whom it is of: your user_key, for ever",
    "aud": "for whom it is meant",
    "client_id": "which program holds it: the same key",
    "user_id": "your name as you typed it, for people: programs store `sub`",
    "sid": "the session; when it ends, the token is refused",
    "jti": "this one token",
    "auth_time": "when the session began",
    "iat": "when the token was made",
    "exp": "when it is over",
    "scope": "your permissions; a new user has none",
}
"""What it says, likewise."""


_HOUR: Final = 3600


def lasting(seconds: int) -> str:
    """So long, in words."""
    if seconds == _HOUR:
        return "an hour"
    unit, many = ("minute", seconds // 60) if seconds % 60 == 0 else ("second", seconds)
    return f"{many} {unit}{'' if many == 1 else 's'}"


class GuideController(PageController):
    """What a stranger sees first."""

    @get("/")
    async def show_guide(self, request: FormRequest) -> Response[bytes]:
        """The page."""
        settings = service_of(request).settings
        return page(
            request,
            "guide.html",
            address=settings.issuer,
            lasting=lasting(settings.access_token_ttl),
            header=HEADER,
            claims=CLAIMS,
            words=WORDS,
            snippets=SNIPPETS,
            languages=LANGUAGES,
            examples=EXAMPLES,
            pieces=pieces,
        )
