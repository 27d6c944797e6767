"""Registering at a page: a name and a secret for a key, with or without JavaScript."""

from litestar import Response, get, post

from app.http.auth import caller_of, note_user, service_of
from app.http.form import FormRequest
from app.web.controller import PageController
from app.web.done import done_before, then
from app.web.page import page
from app.web.posted import again, posted
from app.web.redirect import redirect
from domain.errors import GatebookError

DONE_AT = "/registered"
_FIELDS = {"/user_id": "user_id", "/user_secret": "user_secret"}


class RegisterController(PageController):
    """The form, and what it sends."""

    @get("/register")
    async def show_form(self, request: FormRequest) -> Response[bytes]:
        """The empty form, or why there is none."""
        return page(request, "register.html")

    @post("/web/register")
    async def register(self, request: FormRequest) -> Response[bytes]:
        """On to the page that shows the key; or the form again."""
        form = await posted(request, "user_id", "user_secret")
        accounts, name = service_of(request).accounts, {"user_id": form["user_id"]}
        try:
            user_key = await accounts.register(
                form["user_id"], form["user_secret"], caller_of(request)
            )
        except GatebookError as error:
            return again(request, error, "register.html", _FIELDS, name)
        note_user(request, user_key)
        answer = then(request, DONE_AT, "registered", user_key)
        answer.content = f"You are registered: {user_key}\n".encode()
        return answer

    @get(DONE_AT)
    async def show_key(self, request: FormRequest) -> Response[bytes]:
        """The key of whoever has just registered, also when it is asked for again."""
        done = done_before(request)
        if not done.more:  # nobody has, or more than an hour ago
            return redirect(request, "/login")
        return page(request, "registered.html", user_key=done.more[0])
