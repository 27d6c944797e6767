"""A stand-in for the service, so that users test their own programs without it.

    issuer = FakeIssuer()
    verifier = issuer.verifier(audience="https://orders.example")
    caller = verifier.verify(issuer.token(permissions=["orders:read"]))

Signs with a key that is made for the occasion, and answers as the service does what the classes
of this package ask: through `transport`, without a network, or any program through `serve()`.
"""

from gatebook_client.testing.issuer import FakeIssuer
from gatebook_client.testing.sessions import FakeUser

__all__ = ["FakeIssuer", "FakeUser"]
