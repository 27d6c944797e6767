"""Registering at a page: a name and a secret for a key, with or without JavaScript."""

from litestar import Response, get, post

from app.http.auth import caller_of, note_user, service_of
from app.http.form import FormRequest
from app.web.controller import PageController
from app.web.page import page
from app.web.posted import again, posted
from domain.errors import GatebookError

_FIELDS = {"/user_id": "user_id", "/user_secret": "user_secret"}


class RegisterController(PageController):
    """The form, and what it sends."""

    @get("/register")
    async def show_form(self, request: FormRequest) -> Response[bytes]:
        """The empty form, or why there is none."""
        return page(request, "register.html")

    @post("/web/register")
    async def register(self, request: FormRequest) -> Response[bytes]:
        """The key, shown once; or the form again."""
        form = await posted(request, "user_id", "user_secret")
        accounts, name = service_of(request).accounts, {"user_id": form["user_id"]}
        try:
            user_key = await accounts.register(
                form["user_id"], form["user_secret"], caller_of(request)
            )
        except GatebookError as error:
            return again(request, error, "register.html", _FIELDS, name)
        note_user(request, user_key)
        return page(request, "registered.html", status=201, user_key=user_key, name=form["user_id"])
