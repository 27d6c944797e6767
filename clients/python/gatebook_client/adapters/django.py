"""Protects a Django project: a middleware that finds the caller, and a decorator for views.

    MIDDLEWARE = [..., "gatebook_client.adapters.django.GatebookMiddleware"]
    GATEBOOK_VERIFIER = Verifier("https://auth.example", audience="https://orders.example")

    @requires("orders:read")
    def orders(request): return JsonResponse({"user": request.caller.user_key})

Works with sync and async views. Knows nothing of Django's own users.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from gatebook_client.adapters.refusal import MEDIA_TYPE, MISSING, Refusal, refusal_of
from gatebook_client.caller import Caller
from gatebook_client.errors import ConfigurationError, TokenRefused, VerifierNotReady
from gatebook_client.verifier import Verifier, bearer

Next = Callable[[HttpRequest], Any]
View = Callable[..., Any]


class GatebookMiddleware:
    """`request.caller` is the caller, or None where there is no token; a bad one is refused."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Next) -> None:
        verifier = getattr(settings, "GATEBOOK_VERIFIER", None)
        if not isinstance(verifier, Verifier):
            raise ConfigurationError("GATEBOOK_VERIFIER = Verifier(…) is missing in the settings.")
        self._verifier = verifier
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Verify, then go on or refuse."""
        if self._is_async:
            return self._call_async(request)
        try:
            token = bearer(request.headers.get("Authorization"))
            request.caller = self._verifier.verify(token) if token else None
        except (TokenRefused, VerifierNotReady) as error:
            return _answer(refusal_of(error))
        return cast("HttpResponse", self._get_response(request))

    async def _call_async(self, request: HttpRequest) -> HttpResponse:
        try:
            token = bearer(request.headers.get("Authorization"))
            request.caller = await self._verifier.verify_async(token) if token else None
        except (TokenRefused, VerifierNotReady) as error:
            return _answer(refusal_of(error))
        return cast("HttpResponse", await self._get_response(request))


def requires(*permissions: str) -> Callable[[View], View]:
    """A decorator of views: for callers alone, who have all of these permissions."""

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def protected_async(request: HttpRequest, *more: Any, **named: Any) -> Any:
                return _refused(request, permissions) or await view(request, *more, **named)

            return protected_async

        @wraps(view)
        def protected(request: HttpRequest, *more: Any, **named: Any) -> Any:
            return _refused(request, permissions) or view(request, *more, **named)

        return protected

    return decorate


def _refused(request: HttpRequest, permissions: tuple[str, ...]) -> HttpResponse | None:
    caller = getattr(request, "caller", None)
    if not isinstance(caller, Caller):
        return _answer(MISSING)
    try:
        caller.require(*permissions)
    except TokenRefused as error:
        return _answer(refusal_of(error))
    return None


def _answer(refusal: Refusal) -> HttpResponse:
    return HttpResponse(
        refusal.content,
        status=refusal.status,
        headers={**refusal.headers, "Content-Type": MEDIA_TYPE},
    )
