"""The page of the model, and the numbers that it goes on asking for."""

from typing import Final

from litestar import Response, get
from markupsafe import Markup

from app.http.auth import service_of
from app.http.form import FormRequest
from app.http.problems import AnyRequest
from app.tally import Tallied
from app.web.controller import PageController, PeopleController
from app.web.model.addresses import MODEL, address, log_of
from app.web.model.graph import MEMORY, model
from app.web.model.inlined import inlined, spelled, standing
from app.web.page import base_of, page

NUMBERS: Final = "/web/model"
WRITTEN: Final = {"inline": "with the event", "follow": "soon after", MEMORY: "after a change"}
"""How a view is, by its note."""


class ModelController(PageController):
    """What there is, and what leads to what."""

    @get("/model")
    async def show_model(self, request: FormRequest) -> Response[bytes]:
        """The page."""
        tallied, base = await service_of(request).tally.now(), base_of(request)
        drawn = inlined(tallied, lambda path: f"{base}{path}")
        return page(
            request,
            "model.html",
            picture=Markup(drawn),  # noqa: S704 - made of names in the source, and numbers
            model=model(),
            tallied=tallied,
            written=WRITTEN,
            states={each.name: standing(each) for each in tallied.views},
            tell={"address": address, "log_of": log_of, "spelled": spelled},
            about=MODEL,
            numbers=NUMBERS,
        )


class NumbersController(PeopleController):
    """The same numbers again."""

    path = NUMBERS

    @get()
    async def show_numbers(self, request: AnyRequest) -> Tallied:
        """How many events there are of each type, and how far each view is."""
        return await service_of(request).tally.now()
