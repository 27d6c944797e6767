"""`gatebook-client`: log in once, and let scripts use the profile.

stdout is data, stderr is talk. Exit codes as the service's own command has them. Knows terminals,
and leaves all else to the rest of the package.
"""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

import httpx
import msgspec

from gatebook_client.auth import GatebookAuth
from gatebook_client.cache import FileCache
from gatebook_client.clocks import ServiceClock
from gatebook_client.credentials import Found, from_profile, profile_path
from gatebook_client.errors import (
    ConfigurationError,
    GatebookError,
    ReauthenticationRequired,
    TryLater,
)
from gatebook_client.gatebook import Gatebook
from gatebook_client.kept import Kept
from gatebook_client.private_file import write_private
from gatebook_client.tokens import read_times, session_of
from gatebook_client.wire import base_url

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except ConfigurationError as error:
        return _failed(str(error), USAGE)
    except ReauthenticationRequired as error:
        return _failed(f"{error} Run: gatebook-client login", FAILED)
    except TryLater as error:
        return _failed(str(error), UNAVAILABLE)
    except (GatebookError, httpx.HTTPError, OSError) as error:
        return _failed(str(error), FAILED)
    except KeyboardInterrupt:
        return _failed("interrupted", FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gatebook-client",
        description="Log in to Gatebook once, and let scripts use the profile.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    profile = argparse.ArgumentParser(add_help=False)
    profile.add_argument("--profile", metavar="NAME", help="a name or a path; default: default")
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print JSON")

    login = commands.add_parser("login", parents=[profile], help="begin a session, and keep it")
    login.set_defaults(run=_login)
    login.add_argument("--url", required=True, help="the address of the service")
    who = login.add_mutually_exclusive_group(required=True)
    who.add_argument("--user-key", metavar="KEY", help="uk_…")
    who.add_argument("--user-id", metavar="NAME", help="the name; its key is looked up")
    login.add_argument(
        "--secret-stdin", action="store_true", help="read the secret from stdin, not the terminal"
    )
    login.add_argument(
        "--keep-secret", action="store_true", help="keep it too, to begin new sessions with"
    )
    login.add_argument("--allow-http", action="store_true", help="also over plain http")

    token = commands.add_parser("token", parents=[profile], help="print a good access token")
    token.set_defaults(run=_token)

    status = commands.add_parser("status", parents=[profile, json], help="who is logged in")
    status.set_defaults(run=_status)
    status.add_argument("--offline", action="store_true", help="don't ask the service")

    logout = commands.add_parser("logout", parents=[profile], help="end the session")
    logout.set_defaults(run=_logout)

    call = commands.add_parser("call", parents=[profile], help="ask a URL with an access token")
    call.set_defaults(run=_call)
    call.add_argument("target", metavar="URL", help="absolute, or a path of the service")
    call.add_argument("--method", default=None, help="default: GET, or POST with data")
    call.add_argument("--data-stdin", action="store_true", help="send stdin as JSON")
    return parser


def _login(given: argparse.Namespace) -> int:
    url = base_url(given.url, allow_http=given.allow_http)
    path = profile_path(given.profile)
    secret = _secret(from_stdin=given.secret_stdin)
    with Gatebook(url, allow_http=given.allow_http) as gatebook:
        user_key = given.user_key or gatebook.find_user_key(given.user_id, secret)
        clock, sent = ServiceClock(), time.monotonic()
        tokens = gatebook.authenticate(user_key, secret)
        clock.told(tokens.times.iat, sent, time.monotonic())
    kept = Kept(tokens.access_token, tokens.refresh_token, url, user_key)
    kept = kept.dated(tokens.times.exp - clock.now())
    members: dict[str, object] = {"url": url, "user_key": user_key}
    if given.keep_secret:
        members["user_secret"] = secret
    members["tokens"] = msgspec.to_builtins(kept)
    cache = FileCache(path)
    with cache.locked():
        replaced = _replaced(cache)
        write_private(path, msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n")
    _say(f"Logged in as {user_key}; the session is kept in {path}.")
    if replaced.refresh_token and replaced.url:
        try:
            with Gatebook(replaced.url, allow_http=True, patience=0.0) as gatebook:
                gatebook.revoke(replaced.refresh_token)
        except GatebookError as error:
            _say(f"The session that was kept there before could not be ended: {error}")
    return DONE


def _replaced(cache: FileCache) -> Kept:
    """The tokens that were in a profile before; none when it isn't to be trusted."""
    try:
        return cache.read()
    except ConfigurationError:
        return Kept()


def _token(given: argparse.Namespace) -> int:
    print(_auth(given).access_token())
    return DONE


def _status(given: argparse.Namespace) -> int:
    found = from_profile(given.profile)
    kept = _kept(found)
    told: dict[str, object] = {
        "profile": str(profile_path(given.profile)),
        "url": found.url,
        "user_key": found.credentials.user_key,
        "session_id": session_of(kept.refresh_token or "") or None,
        "keeps_secret": found.credentials.can_authenticate,
        "access_token_until": _time(read_times(kept.access_token).exp)
        if kept.access_token
        else None,
    }
    if not given.offline:
        with Gatebook(auth=_auth(given)) as gatebook:
            me = gatebook.me()
        told |= {"user_id": me.user_id, "permissions": me.permissions}
        told["access_token_until"] = me.expires_at.isoformat()
    if given.json:
        print(msgspec.json.encode(told).decode())
        return DONE
    for name, value in told.items():
        shown = " ".join(value) if isinstance(value, list) else value
        print(f"{name + ':':20} {'-' if shown is None else shown}")
    return DONE


def _kept(found: Found) -> Kept:
    return found.credentials.ours(found.cache.read(), found.url) if found.cache else Kept()


def _logout(given: argparse.Namespace) -> int:
    path = profile_path(given.profile)
    found = from_profile(given.profile)
    # So that nobody renews meanwhile what is ended. The lock's own file stays: others may be
    # waiting for that one.
    with FileCache(path).locked():
        kept = _kept(found)
        if kept.refresh_token:
            with Gatebook(found.url, allow_http=True) as gatebook:
                gatebook.revoke(kept.refresh_token)
        path.unlink(missing_ok=True)
    _say(f"The session has ended, and {path} is gone.")
    return DONE


def _call(given: argparse.Namespace) -> int:
    auth = _auth(given)
    service = httpx.URL(auth.url)
    try:
        target = service.join(given.target) if given.target.startswith("/") else given.target
        target = httpx.URL(target)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"The URL to ask is none: {error}.") from None
    if not _may_carry_a_token(target, service):
        raise ConfigurationError(
            f"A token would go unencrypted to {target.host}, which is not the service: use https."
        )
    content = sys.stdin.buffer.read() if given.data_stdin else None
    headers = {} if content is None else {"Content-Type": "application/json"}
    method = given.method or ("GET" if content is None else "POST")
    with httpx.Client(auth=auth, timeout=30.0) as client:
        answer = client.request(method, target, content=content, headers=headers)
    sys.stdout.buffer.write(answer.content)
    sys.stdout.flush()
    if answer.is_error:
        return _failed(f"{answer.status_code} {answer.reason_phrase}", FAILED)
    return DONE


def _may_carry_a_token(target: httpx.URL, service: httpx.URL) -> bool:
    """Whether nobody on the way can read it: but for https, this machine and the service alone."""
    if target.scheme == "https" or _origin(target) == _origin(service):
        return True
    return target.scheme == service.scheme == "http" and _is_here(target) and _is_here(service)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or (80 if url.scheme == "http" else 443)


def _is_here(url: httpx.URL) -> bool:
    try:
        return ip_address(url.host).is_loopback
    except ValueError:
        return url.host == "localhost" or url.host.endswith(".localhost")


def _auth(given: argparse.Namespace) -> GatebookAuth:
    # Whoever logged in there said then that plain http is well.
    return GatebookAuth.from_profile(given.profile, allow_http=True)


def _secret(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigurationError("There is no terminal to ask for the secret: --secret-stdin.")
    return getpass.getpass("Secret: ")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _failed(text: str, code: int) -> int:
    _say(f"gatebook-client: {text}")
    return code


if __name__ == "__main__":
    sys.exit(main())
