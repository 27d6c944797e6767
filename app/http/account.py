"""Accounts: register, and find one's key again."""

import msgspec
from litestar import post
from litestar.params import JSONBody

from app.hidden import Hidden
from app.http.auth import caller_of, note_user, service_of
from app.http.body import StrictRequest
from app.http.controller import Controller
from app.http.problems import OF_A_BODY, OF_THE_STORE, refusals


class NameAndSecret(Hidden, frozen=True, forbid_unknown_fields=True):
    """A name and its secret."""

    user_id: str
    user_secret: str


class UserKey(msgspec.Struct, frozen=True):
    """The key of a user."""

    user_key: str


class AccountController(Controller):
    """Where a user begins."""

    tags = ("Accounts",)

    @post(
        "/register",
        operation_id="register",
        summary="Register: a name and a secret for a key",
        responses=refusals(
            "unacceptable_secret",
            "registration_closed",
            "user_id_taken",
            "too_many_attempts",
            *OF_A_BODY,
            *OF_THE_STORE,
        ),
    )
    async def register(self, data: JSONBody[NameAndSecret], request: StrictRequest) -> UserKey:
        """Take a name; the key that comes back is what you authenticate with."""
        accounts = service_of(request).accounts
        user_key = await accounts.register(data.user_id, data.user_secret, caller_of(request))
        note_user(request, user_key)
        return UserKey(user_key)

    @post(
        "/userkey",
        operation_id="findUserKey",
        summary="Find the key again: for someone who lost it",
        status_code=200,
        responses=refusals("invalid_credentials", "too_many_attempts", *OF_A_BODY, *OF_THE_STORE),
    )
    async def find_user_key(self, data: JSONBody[NameAndSecret], request: StrictRequest) -> UserKey:
        """The key of the user with this name and secret."""
        accounts = service_of(request).accounts
        user_key = await accounts.find_user_key(data.user_id, data.user_secret, caller_of(request))
        note_user(request, user_key)
        return UserKey(user_key)
