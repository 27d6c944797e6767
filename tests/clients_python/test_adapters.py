"""Every framework answers alike: who calls, 401, 403 with what is missing, 503 if it can't tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import django
import httpx
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.wsgi import WSGIHandler
from django.http import JsonResponse
from django.urls import path
from fastapi import Depends, FastAPI, WebSocket
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide

from gatebook_client import Caller, Verifier
from gatebook_client.adapters.asgi import GatebookMiddleware, caller_of
from gatebook_client.adapters.django import requires as django_requires
from gatebook_client.adapters.fastapi import GatebookBearer
from gatebook_client.adapters.litestar import caller as litestar_caller
from gatebook_client.adapters.litestar import protected, requires
from gatebook_client.testing import FakeIssuer

Ask = Callable[..., httpx.Response]
WRITE = "orders:write"


class Protected(NamedTuple):
    """A service that is protected, and who gives tokens for it."""

    issuer: FakeIssuer
    ask: Ask


def asking(app: Any) -> Ask:
    """Ask an ASGI application without a server."""

    def ask(where: str, *authorization: str) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            headers = [("Authorization", each) for each in authorization]
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.get(where, headers=headers)

        return asyncio.run(once())

    return ask


def by_asgi(verifier: Verifier) -> Ask:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        caller = caller_of(scope)
        content = b'{"user_key":"%s"}' % caller.user_key.encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return asking(GatebookMiddleware(app, verifier))


def by_fastapi(verifier: Verifier) -> Ask:
    gatebook = GatebookBearer(verifier)
    app = FastAPI()

    def read(caller: Caller = Depends(gatebook)) -> dict[str, str]:  # noqa: B008 - as FastAPI has it
        return {"user_key": caller.user_key}

    app.get("/read")(read)
    app.get("/write", dependencies=[Depends(gatebook.requiring(WRITE))])(read)
    return asking(app)


def by_litestar(verifier: Verifier) -> Ask:
    return asking(litestar_of(verifier))


def litestar_of(verifier: Verifier, **more: Any) -> Litestar:
    @get("/read")
    async def read(caller: NamedDependency[Caller]) -> dict[str, str]:
        return {"user_key": caller.user_key}

    @get("/write", guards=[requires(WRITE)])
    async def write(caller: NamedDependency[Caller]) -> dict[str, str]:
        return {"user_key": caller.user_key}

    for handler in (read, write):
        handler.fn.__annotations__["caller"] = NamedDependency[Caller]
    return Litestar(
        [read, write],
        middleware=[protected(verifier, **more)],
        dependencies={"caller": Provide(litestar_caller, sync_to_thread=False)},
    )


@django_requires()
def django_read(request: Any) -> JsonResponse:
    return JsonResponse({"user_key": request.caller.user_key})


@django_requires(WRITE)
async def django_write(request: Any) -> JsonResponse:
    return JsonResponse({"user_key": request.caller.user_key})


urlpatterns = [path("read", django_read), path("write", django_write)]


def configure_django(verifier: Verifier) -> None:
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="x",
            MIDDLEWARE=["gatebook_client.adapters.django.GatebookMiddleware"],
            LOGGING_CONFIG=None,
        )
        django.setup()
    settings.GATEBOOK_VERIFIER = verifier


def by_django_asgi(verifier: Verifier) -> Ask:
    configure_django(verifier)
    return asking(get_asgi_application())


def by_django_wsgi(verifier: Verifier) -> Ask:
    configure_django(verifier)
    transport = httpx.WSGITransport(WSGIHandler())

    def ask(where: str, *authorization: str) -> httpx.Response:
        headers = [("Authorization", each) for each in authorization]
        with httpx.Client(transport=transport, base_url="http://app") as client:
            return client.get(where, headers=headers)

    return ask


WAYS = [by_asgi, by_fastapi, by_litestar, by_django_asgi, by_django_wsgi]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def protected_by(request: pytest.FixtureRequest) -> Iterator[Protected]:
    issuer = FakeIssuer()
    verifier = issuer.verifier()
    yield Protected(issuer, request.param(verifier))
    verifier.close()


def test_who_calls_is_known(protected_by: Protected) -> None:
    issuer, ask = protected_by
    user = issuer.user()
    answer = ask("/read", f"Bearer {issuer.token(user)}")
    assert (answer.status_code, answer.json()) == (200, {"user_key": user.user_key})


def test_without_a_token_the_answer_says_that_it_takes_one(protected_by: Protected) -> None:
    answer = protected_by.ask("/read")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_bad_token_is_told_as_such(protected_by: Protected) -> None:
    issuer, ask = protected_by
    ended = issuer.token()
    issuer.revoke(ended)
    for given in (
        f"Bearer {issuer.token(expires_in=-60)}",
        f"Bearer {issuer.token(audience='https://other.test')}",
        f"Bearer {ended}",
        "Bearer nonsense",
        "Bearer",
        "Basic dXNlcjpwYXNz",
    ):
        answer = ask("/read", given)
        assert answer.status_code == 401, given
        assert 'error="invalid_token"' in answer.headers["www-authenticate"], given


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_while_it_can_not_tell_it_says_when_to_come_again(way: Callable[[Verifier], Ask]) -> None:
    issuer = FakeIssuer()
    token = issuer.token()
    with issuer.away(), closing(issuer.verifier(patience=0.1)) as verifier:
        answer = way(verifier)("/read", f"Bearer {token}")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.__name__)
def test_a_permission_that_is_missing_is_named(way: Callable[[Verifier], Ask]) -> None:
    issuer = FakeIssuer()
    verifier = issuer.verifier(revocations=False)
    ask = way(verifier)
    answer = ask("/write", f"Bearer {issuer.token(permissions=['orders:read'])}")
    assert answer.status_code == 403
    assert WRITE in answer.text
    assert answer.headers["www-authenticate"] == (
        f'Bearer error="insufficient_scope", scope="{WRITE}"'
    )
    for permissions in ([WRITE], ["admin"]):
        token = issuer.token(permissions=permissions)
        assert ask("/write", f"Bearer {token}").status_code == 200


def test_two_tokens_in_one_request_are_none() -> None:
    issuer = FakeIssuer()
    verifier = issuer.verifier(revocations=False)
    token = f"Bearer {issuer.token()}"
    for way in (by_asgi, by_fastapi, by_litestar):
        assert way(verifier)("/read", token, token).status_code == 401


def test_a_websocket_without_a_token_is_closed() -> None:
    issuer = FakeIssuer()
    sent: list[Any] = []

    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    app = GatebookMiddleware(never, issuer.verifier(revocations=False))
    asyncio.run(app({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 3000, "reason": "invalid_token"}]


def test_litestars_excluded_paths_have_no_caller() -> None:
    issuer = FakeIssuer()
    app = litestar_of(issuer.verifier(revocations=False), exclude=["^/read", "^/write"])
    for where in ("/read", "/write"):
        assert asking(app)(where, f"Bearer {issuer.token()}").status_code == 401


def fastapi_of(verifier: Verifier) -> FastAPI:
    app, gatebook = FastAPI(), GatebookBearer(verifier)

    async def echo(websocket: WebSocket, caller: Caller = Depends(gatebook)) -> None:  # noqa: B008 - as FastAPI has it
        await websocket.accept()
        await websocket.send_text(caller.user_key)
        await websocket.close()

    async def write(caller: Caller = Depends(gatebook.requiring(WRITE))) -> None:  # noqa: B008
        del caller

    echo.__annotations__ |= {"websocket": WebSocket, "caller": Caller}
    app.websocket("/echo")(echo)
    app.get("/write")(write)
    app.get("/listed", dependencies=[Depends(gatebook.requiring(WRITE))])(lambda: None)
    return app


def test_fastapi_describes_what_takes_a_token() -> None:
    described = fastapi_of(FakeIssuer().verifier(revocations=False)).openapi()
    for path_ in ("/write", "/listed"):
        assert described["paths"][path_]["get"]["security"] == [{"gatebook": []}]
    assert set(described["components"]["securitySchemes"]) == {"gatebook"}


def test_fastapi_knows_who_opens_a_websocket() -> None:
    issuer = FakeIssuer()
    app, user = fastapi_of(issuer.verifier(revocations=False)), issuer.user()

    def sent(*headers: tuple[bytes, bytes], **more: Any) -> list[Any]:
        found: list[Any] = []

        async def send(message: Any) -> None:
            found.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        scope = {"type": "websocket", "path": "/echo", "headers": headers, "query_string": b""}
        asyncio.run(app({**scope, **more}, receive, send))
        return found

    good = (b"authorization", f"Bearer {issuer.token(user)}".encode())
    assert [each.get("text") for each in sent(good)] == [None, user.user_key, None]
    assert sent() == [{"type": "websocket.close", "code": 3000, "reason": "invalid_token"}]
    denied = sent(extensions={"websocket.http.response": {}})
    assert denied[0]["type"] == "websocket.http.response.start"
    assert denied[0]["status"] == 401


def test_what_overrides_a_dependency_of_fastapi_is_asked_for_permissions_too() -> None:
    """So that an application with a verifier of its own can be tested with the stand-in."""
    app, bearer, issuer = FastAPI(), GatebookBearer(Verifier("https://away.test")), FakeIssuer()
    depends: Any = Depends(bearer)

    @app.get("/orders", dependencies=[Depends(bearer.requiring(WRITE))])
    async def orders(caller: Caller = depends) -> dict[str, str]:
        return {"for": caller.user_key}

    verifier = issuer.verifier()
    app.dependency_overrides[bearer] = GatebookBearer(verifier)
    ask, user = asking(app), issuer.user()
    answer = ask("/orders", f"Bearer {issuer.token(user, permissions=[WRITE])}")
    assert answer.json() == {"for": user.user_key}
    assert ask("/orders", f"Bearer {issuer.token()}").status_code == 403
    verifier.close()


def test_a_path_that_is_public_has_no_caller() -> None:
    issuer, seen = FakeIssuer(), list[object]()
    verifier = issuer.verifier(revocations=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        seen.append(scope["state"]["caller"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    ask = asking(GatebookMiddleware(app, verifier, public=["/open"]))
    assert ask("/open").status_code == 200
    assert ask("/open", "Bearer none").status_code == 200
    assert ask("/closed").status_code == 401
    assert seen == [None, None]
