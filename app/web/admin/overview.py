"""The first page of the administration: what happened day by day, and where to go."""

from litestar import Response, get

from app.activity import days
from app.clock import now
from app.http.auth import service_of
from app.http.form import FormRequest
from app.projection_list import item
from app.web.admin.chart import charts
from app.web.admin.section import READ_EVENTS, SECTIONS, admin_page, may
from app.web.controller import PageController
from app.web.navigation import ADMINISTRATIVE
from app.web.visiting import visiting
from domain.errors import InsufficientPermission

DAYS = 30


class OverviewPages(PageController):
    """For whoever may see any of it."""

    @get("/admin")
    async def show_overview(self, request: FormRequest) -> Response[bytes]:
        """The chart for those who may read events, and the sections."""
        visiting(request)
        if not any(may(request, each.permission) for each in SECTIONS):
            raise InsufficientPermission(*ADMINISTRATIVE)
        if not may(request, READ_EVENTS):
            return admin_page(request, "overview.html", sections=SECTIONS, charts=[])
        moment = now()
        view, found = await service_of(request).reading.read(
            lambda rows: (item(rows, "daily_activity", moment), days(rows, moment, DAYS))
        )
        drawn = charts(found)
        return admin_page(request, "overview.html", sections=SECTIONS, charts=drawn, view=view)
