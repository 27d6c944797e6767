"""Operations: is the process there, is it ready, what does it count, which version is it."""

from typing import Final

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from app.http.auth import service_of
from app.http.controller import Controller
from app.http.problems import AnyRequest, refusals
from app.metrics import CONTENT_TYPE
from app.readiness import Check
from app.version import VERSION

_FIGURES: Final = CONTENT_TYPE.removesuffix("; charset=utf-8")
"""Litestar adds that to every text."""


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service can do its work, and what each check found."""

    status: str
    checks: list[Check]


class Version(msgspec.Struct, frozen=True):
    """Which release, and which log."""

    version: str
    log_id: str


class OperationController(Controller):
    """For operators and their machines."""

    tags = ("Operations",)

    @get("/healthz", operation_id="showHealth", summary="Whether the process answers",
         responses=refusals())  # fmt: skip
    async def show_health(self) -> Health:
        """The process answers; says nothing of the store."""
        return Health("ok")

    @get(
        "/readyz",
        operation_id="showReadiness",
        summary="Whether the service can do its work",
        responses={503: ResponseSpec(Readiness, description="not ready"), **refusals()},
    )
    async def show_readiness(self, request: AnyRequest) -> Response[Readiness]:
        """The store is writable, keys are loaded, views are at the head, the clock is right."""
        found = await service_of(request).readiness.checks()
        ready = all(check.ok for check in found)
        body = Readiness("ready" if ready else "not ready", found)
        headers = {} if ready else {"retry-after": "1"}
        return Response(body, status_code=200 if ready else 503, headers=headers)

    @get(
        "/metrics",
        operation_id="showMetrics",
        summary="Figures for Prometheus",
        responses=refusals(),
        media_type="text/plain",
    )
    async def show_metrics(self, request: AnyRequest) -> Response[bytes]:
        """The text format."""
        return Response(service_of(request).metrics.render(), media_type=_FIGURES)

    @get("/version", operation_id="showVersion", summary="Release and log", responses=refusals())
    async def show_version(self, request: AnyRequest) -> Version:
        """Which release this is, and which log its positions belong to."""
        return Version(VERSION, service_of(request).store.log_id)
