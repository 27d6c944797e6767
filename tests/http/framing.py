"""Requests that could be understood in two ways, or in none (RFC 9112), byte for byte.

Knows no server.
"""

from __future__ import annotations

from typing import Final

POST: Final = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
GET: Final = b"GET /echo HTTP/1.1\r\nHost: a\r\n"
LAST: Final = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

AMBIGUOUS: Final = {
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "the same length twice": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a list of lengths": POST + b"Content-Length: 1, 1\r\n\r\na",
    "a signed length": POST + b"Content-Length: +1\r\n\r\na",
    "a length beyond all": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "length, then chunked": POST
    + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "chunked twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked behind another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a folded first header": b"GET /echo HTTP/1.1\r\n Host: a\r\n\r\n",
    "NUL in a value": GET + b"X: a\0b\r\n\r\n",
    "NUL in a name": GET + b"X\0: a\r\n\r\n",
    "NUL in the path": b"GET /\0echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "ESC in a value": GET + b"X: a\x1bb\r\n\r\n",
    "a bare LF behind a header": b"GET /echo HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "a bare LF behind the first line": b"GET /echo HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF at the end": b"GET /echo HTTP/1.1\r\nHost: a\r\n\n",
    "bare LFs only": b"GET /echo HTTP/1.1\nHost: a\n\n",
    "a bare LF before all": b"\n" + GET + b"\r\n",
    "a bare CR": b"GET /echo HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 1\r\n\r\na",
    "a bare LF in a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "a bare LF behind a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
    "no host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: b\r\n\r\n",
    "no version": b"GET /echo\r\n\r\n",
    "the version before": b"GET /echo HTTP/0.9\r\nHost: a\r\n\r\n",
    "the next version": b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n",
    "the next version with a body": b"POST /echo HTTP/2.0\r\nHost: a\r\nContent-Length: 1\r\n\r\na",
    "the next version that offers another": b"GET /echo HTTP/2.0\r\nHost: a\r\n"
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "a version to come": b"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "a tunnel": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "a path that is none": b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes beyond ASCII in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""Each is one 400 and the end of its connection."""
