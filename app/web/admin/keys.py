"""Signing keys: which there are, and letting a new one take over."""

from litestar import Response, get, post

from app.clock import now
from app.http.auth import service_of
from app.http.form import FormRequest
from app.signing_keys import KeyItem, items
from app.web.admin.section import READ_KEYS, WRITE_KEYS, admin_page, entering, meta_of
from app.web.controller import PageController
from app.web.done import done_before, then


class KeysPages(PageController):
    """For whoever may read keys; what is posted takes `keys:write`."""

    @get("/admin/keys")
    async def show_keys(self, request: FormRequest) -> Response[bytes]:
        """Every key since the log began, newest first."""
        entering(request, READ_KEYS)
        keys, done = await _keys(request), done_before(request)
        return admin_page(request, "keys.html", headers=done.over, keys=keys, done=done.what)

    @get("/admin/keys/rotate")
    async def show_rotation(self, request: FormRequest) -> Response[bytes]:
        """What a rotation does, and the button for it."""
        entering(request, WRITE_KEYS)
        return admin_page(request, "rotate.html", keys=await _keys(request), at_once=False)

    @get("/admin/keys/rotate-now")
    async def show_rotation_at_once(self, request: FormRequest) -> Response[bytes]:
        """What that does to every token, and the button for it."""
        entering(request, WRITE_KEYS)
        return admin_page(request, "rotate.html", keys=await _keys(request), at_once=True)

    @post("/web/admin/keys/rotate")
    async def rotate(self, request: FormRequest) -> Response[bytes]:
        """A new key takes over, once every verifier can know it."""
        await _rotate(request, at_once=False)
        return then(request, "/admin/keys", "rotated")

    @post("/web/admin/keys/rotate-now")
    async def rotate_at_once(self, request: FormRequest) -> Response[bytes]:
        """A new key signs from now on; what the one before signed is refused."""
        await _rotate(request, at_once=True)
        return then(request, "/admin/keys", "replaced")


async def _rotate(request: FormRequest, *, at_once: bool) -> None:
    visitor, service = entering(request, WRITE_KEYS), service_of(request)
    await service.key_rotation.rotate(meta_of(request, visitor), at_once=at_once)
    await service.keys.reload()


async def _keys(request: FormRequest) -> list[KeyItem]:
    """As the store has them now, whichever process changed them."""
    service = service_of(request)
    await service.keys.at((await service.lookup.head()).generation)
    return items(service.keys.known, now())[::-1]
