"""Whether all is well: what `gatebook doctor` looks at, and what the service counts of itself."""

from litestar import Response, get

from app.bootstrap import Service
from app.clock import now
from app.examination import Finding, of_checks, of_files, of_rows, of_settings
from app.http.auth import service_of
from app.http.form import FormRequest
from app.web.admin.figures import figures
from app.web.admin.section import admin_page, entering
from app.web.controller import PageController
from domain.errors import GatebookError
from domain.permission import ADMIN


class StatusPages(PageController):
    """For administrators: it names files, hosts and releases."""

    @get("/admin/status")
    async def show_status(self, request: FormRequest) -> Response[bytes]:
        """Every finding, the worst first, and the figures."""
        entering(request, ADMIN)
        service = service_of(request)
        found, head = await _findings(service), await service.lookup.head()
        worst = sorted(found, key=lambda each: ("fail", "warn", "ok").index(each.level))
        return admin_page(
            request,
            "status.html",
            findings=worst,
            bad=sum(each.level == "fail" for each in found),
            odd=sum(each.level == "warn" for each in found),
            head=head,
            kind=service.store.storage.kind,
            figures=figures(service),
        )


async def _findings(service: Service) -> list[Finding]:
    """What there is to look at from within; what keeps it from looking further is one of them."""
    settings, store = service.settings, service.store
    found = [*of_settings(settings)]
    if settings.sqlite_path is not None:
        found += of_files(settings.sqlite_path)
    found += of_checks(await service.readiness.checks())
    try:
        found += await service.reading.read(
            lambda rows: [*of_rows(rows, store.storage.kind, store.vault, settings, now())]
        )
    except GatebookError as error:
        found.append(Finding("fail", "store", error.detail, "Look at the log of the service."))
    return found
