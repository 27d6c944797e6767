"""What somebody can do with a name and a secret: register, authenticate, find the own key.

Knows no HTTP, and nothing of how a secret is proved.
"""

from __future__ import annotations

from collections.abc import Callable

from app.caller import Caller
from app.dispatcher import Dispatcher
from app.hidden import Hidden
from app.identifiers import new_session_id
from app.issuing import Issuer, Session
from app.opening import Opener, wrapped_key
from app.proving import Proved, Proving
from app.registration import Registration
from app.sessions import Bearer
from app.throttle import RegistrationBudget, SourceBudget
from app.vault import Ring, name_mac
from domain import commands, user_id, user_secret
from domain.errors import RegistrationClosed
from domain.events import LoggedInBy
from domain.policy import Policy
from domain.refresh_token import format_refresh_token
from domain.stream import actor_of
from domain.user_key import is_user_key
from projections.user_directory import CredentialRow


class Tokens(Hidden, frozen=True):
    """What a login gives."""

    access_token: str
    refresh_token: str


class LoggedIn(Hidden, frozen=True):
    """What a login at a page gives: whose it is, and what the browser keeps."""

    user_key: str
    refresh_token: str


class Accounts:
    """Use cases of an account; belongs to the event loop. `clock` gives µs."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        issuer: Issuer,
        opener: Opener,
        proving: Proving,
        registration: Registration,
        registrations: RegistrationBudget,
        sources: SourceBudget,
        policy: Policy,
        ring: Ring,
        clock: Callable[[], int],
    ) -> None:
        self._dispatcher = dispatcher
        self._issuer = issuer
        self._opener = opener
        self._proving = proving
        self._registration = registration
        self._registrations = registrations
        self._sources = sources
        self._policy = policy
        self._ring = ring
        self._clock = clock

    async def register(self, name: str, secret: str, caller: Caller) -> str:
        """A new user's key. Raises what `Registration` and the budgets raise."""
        if not self._registration.is_open:
            raise RegistrationClosed
        prepared = self._registration.check(name, secret)
        with (
            await self._sources.reserve(caller.source) as attempt,
            await self._registrations.reserve(caller.source),
        ):
            user_key = await self._registration.register(name, prepared, caller.meta())
            attempt.succeeded()
            return user_key

    async def authenticate(self, user_key: str, secret: str, caller: Caller) -> Tokens:
        """A new session's tokens; raises `InvalidCredentials` and what the budgets raise.

        What can't be a secret is an `InvalidRequest`, before anything is done.
        """
        prepared = user_secret.prepare(secret)
        proved = await self._proving.by_key(user_key, prepared, caller)
        await self._issuer.keys.at(proved.row.store_generation)
        session_id, started_at = await self._start(proved, "secret", caller)
        session = self._session(proved.row, session_id, started_at)
        access_token, _ = await self._issuer.issue(session, self._clock())
        return Tokens(access_token, format_refresh_token(session_id, 1, self._ring.refresh))

    async def log_in(self, who: str, secret: str, caller: Caller) -> LoggedIn:
        """A new session for pages, of whoever has this user_key or this name.

        Raises as `authenticate` does, and `InvalidRequest` for what can't be a name.
        """
        if is_user_key(who):
            prepared = user_secret.prepare(secret)
            proved = await self._proving.by_key(who, prepared, caller)
        else:
            mac = name_mac(self._ring, user_id.prepare(who))
            prepared = user_secret.prepare(secret)
            proved = await self._proving.by_name(mac, prepared, caller)
        session_id, _ = await self._start(proved, "page", caller)
        token = format_refresh_token(session_id, 1, self._ring.refresh)
        return LoggedIn(proved.row.user_key, token)

    async def find_user_key(self, name: str, secret: str, caller: Caller) -> str:
        """The key of somebody who knows name and secret; raises as `authenticate` does.

        For whoever was answered 503 when registering, it is the answer that he was registered.
        """
        mac = name_mac(self._ring, user_id.prepare(name))
        prepared = user_secret.prepare(secret)
        user_key = (await self._proving.by_name(mac, prepared, caller)).row.user_key
        # No permission more is no event, and answered once what came before can't be lost.
        nothing = commands.GrantPermissions(user_key, ())
        await self._dispatcher.dispatch(nothing, caller.meta(actor_of(user_key)))
        return user_key

    async def change_secret(
        self, bearer: Bearer, secret: str, new_secret: str, caller: Caller
    ) -> None:
        """Take a new secret; every session ends but the bearer's.

        No network is known any more but the one that this comes from. Raises
        `UnacceptableSecret` saying why, and as `authenticate` does for the secret until now.
        """
        wanted = self._registration.check_secret(
            bearer.user_id, new_secret, pointer="/new_user_secret"
        )
        prepared = user_secret.prepare(secret)
        row, network = await self._proving.by_key(bearer.user_key, prepared, caller)
        secret_hash = await self._registration.hash(wanted)
        command = commands.ChangeSecret(
            row.user_key, secret_hash, row.secret_version, bearer.session_id
        )
        rows = network.alone(row.user_key, self._clock())
        await self._dispatcher.dispatch(command, caller.meta(actor_of(row.user_key)), rows)

    async def erase(self, bearer: Bearer, secret: str, caller: Caller) -> None:
        """Let nobody be able to read who the bearer was; raises as `authenticate` does.

        Raises `LastAdministrator` for the last enabled one.
        """
        prepared = user_secret.prepare(secret)
        row = (await self._proving.by_key(bearer.user_key, prepared, caller)).row
        command = commands.EraseOneself(row.user_key, row.secret_version)
        await self._dispatcher.dispatch(command, caller.meta(actor_of(row.user_key)))

    async def _start(self, proved: Proved, by: LoggedInBy, caller: Caller) -> tuple[str, int]:
        """The new session's id, and when it began in µs."""
        row, session_id = proved.row, new_session_id()
        command = commands.StartSession(row.user_key, session_id, by, row.secret_version)
        rows = proved.network.logged_in(row.user_key, self._clock())
        meta = caller.meta(actor_of(row.user_key))
        recorded = await self._dispatcher.dispatch(command, meta, rows)
        return session_id, recorded[-1].time

    def _session(self, row: CredentialRow, session_id: str, started_at: int) -> Session:
        """The new session, with what the user might do when the secret was looked at.

        A permission taken away since then counts for nothing here, whatever the token says.
        """
        key = wrapped_key(row.person_master_id, row.person_wrapped, row.user_key)
        return Session(
            row.user_key,
            self._opener.user_id(row.user_key, key, row.user_id or b""),
            session_id,
            started_at,
            self._policy.ends_at(started_at + self._policy.session_max, started_at),
            row.permissions,
        )
