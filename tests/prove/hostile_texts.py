"""Texts that break what puts them where they don't belong: SQL, log lines, pages, paths, numbers.

Knows no place to put them.
"""

from __future__ import annotations

from typing import Final

FORGED: Final = "forged"
"""In every text that would be a log record of its own."""
SQL: Final = (
    "'",
    '"',
    "\\",
    "`",
    "';",
    "' --",
    "'; DROP TABLE events; --",
    "'); DELETE FROM user_ids; --",
    "' OR '1'='1",
    '" OR ""="',
    "' OR 1=1 /*",
    "') OR ('a'='a",
    "' UNION SELECT name, wrapped, 1 FROM ring_keys --",
    "'||(SELECT max(position) FROM events)||'",
    "'; UPDATE events SET topic = 'x' WHERE '1'='1",
    "'; SELECT pg_sleep(3); --",
    "'; ATTACH DATABASE ':memory:' AS other; --",
    "\\'; DROP TABLE events; --",
    "$$; DROP TABLE events; $$",
    "\u02bc OR \u02bc1\u02bc=\u02bc1",  # an apostrophe once it is narrowed
    "\uff07 OR 1=1 --",
    "%' AND 1=0 UNION SELECT 1 --",
    *("%", "_", "%s", "%(name)s", "?", "$1", ":name", "{0}", "%n%n%n", "NULL", "DEFAULT"),
)
LOGS: Final = (
    f'x\n{{"time":"2026-01-01T00:00:00.000000Z","event":"request","{FORGED}":true}}',
    f"x\r\n2026-01-01T00:00:00.000000Z [info] {FORGED}",
    f'x","{FORGED}":true,"y":"',
    f"x\r{FORGED}",
    f"x\u2028{FORGED}\u2029{FORGED}\u0085{FORGED}",
    f"\x1b[2J\x1b[1;1H{FORGED}",
    f"\x1b]0;{FORGED}\x07",
    f"\x9b31m{FORGED}",
    "\x08\x08\x08\x7f",
    "\u202etxet\u202c",
    "${jndi:ldap://127.0.0.1/x}",
)
PAGES: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{7*7}}",
    "{% raw %}",
    "{{''.__class__.__mro__}}",
    "${7*7}",
    "<!--#exec cmd=x-->",
    "&lt;&#0;",
)
PATHS: Final = (
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "%0d%0aSet-Cookie:%20a=b",
    "file:///etc/passwd",
    "//127.0.0.1/x",
    "| /bin/true",
    "$(true)",
    "`true`",
    "__proto__",
    "constructor",
    '{"$ne": null}',
)
NUMBERS: Final = (
    *("-1", "0", "00", "1e400", "1.0", "0x10", "NaN", "Infinity", "-0", "1_000", "+1"),
    *("9" * 400, "18446744073709551616", "9223372036854775807", "2147483648", "\u0663", "\u00b2"),
    *("true", "null", "[]", "0001-01-01", "9999-12-31T23:59:60Z", "2026-02-30"),
)
LETTERS: Final = (
    "\0",
    "a\0b",
    "\ufeffa",
    "\u200b",
    "a" + "\u0301" * 200,
    "\ufdfa" * 100,  # 18 characters each once it is prepared
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u0130\u0131\u017f\u212a\u00df",
    "\uffff\ufffe",
    "\ue000",
    "a" * 1_024,
    "\u00e4" * 600,
    " a ",
    "\u3000",
)
ALL: Final = (*SQL, *LOGS, *PAGES, *PATHS, *NUMBERS, *LETTERS)
