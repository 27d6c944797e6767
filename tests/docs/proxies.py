"""Proxies in front of a server, as the page about them says: nginx itself, and one of a few lines.

The few lines send the headers that the page's configuration sends, so that what the page says of
them is tried where there is no nginx. Knows no request.
"""

from __future__ import annotations

import datetime as dt
import http.client
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME: Final = "auth.example.org"

_HEADER: Final = re.compile(r"^\s*proxy_set_header (\S+) (.*);$", re.MULTILINE)
_NGINX: Final = """\
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
{shown}
}}
"""


def headers_set(configuration: str) -> dict[str, str]:
    """What a configuration of nginx has it send on, with its variables."""
    return {name: value.strip('"') for name, value in _HEADER.findall(configuration)}


@contextmanager
def small_proxy(port: int, headers: dict[str, str]) -> Iterator[int]:
    """A proxy to that port that sends these headers; the port where it is."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._pass_on()

        def do_GET(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            values = {
                "$remote_addr": self.client_address[0],
                "$scheme": "https",
                "$host": str(self.headers["Host"]),
            }
            given = {**{name.title(): value for name, value in self.headers.items()}}
            given |= {name.title(): values.get(value, value) for name, value in headers.items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            sent = {name: value for name, value in given.items() if value}
            behind.request(self.command, self.path, body, sent)
            answer = behind.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            behind.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def nginx() -> str:
    """Where nginx is; skips where it isn't, and fails there with CI set."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is not None:
        return found
    missing = "There is no nginx here (Debian's: apt install nginx): its part was NOT tried."
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def running_nginx(shown: str, folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """The nginx of the machine with what a page shows, at these ports in place of its own."""
    program = nginx()
    certificate, key = _certificate(folder)
    for there, here in ports.items():
        assert there in shown, there
        shown = shown.replace(there, re.sub(r"\d+(?=\D*$)", str(here), there))
    shown = re.sub(r"(ssl_certificate) \S+;", rf"\1 {certificate};", shown)
    shown = re.sub(r"(ssl_certificate_key) \S+;", rf"\1 {key};", shown)
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, shown=shown), encoding="utf-8")
    told = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    # It listens when this one ends, and goes on by itself.
    started = subprocess.run(told, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    try:
        yield
    finally:
        subprocess.run([*told, "-s", "stop"], check=True)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of the name that pages use, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    there = folder / "certificate.pem"
    there.write_bytes(made.public_bytes(pem))
    beside = folder / "key.pem"
    plain = serialization.NoEncryption()
    beside.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return there, beside
