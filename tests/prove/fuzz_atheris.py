"""`python -m tests.prove.fuzz_atheris TARGET RUNS SEED CORPUS`: fuzz one target by atheris.

Code 0 when nothing went wrong. Knows what atheris wants, and no target.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

_INSTRUMENTED = ["app.tokens", "app.settings", "domain", "gatebook_client", "precis_i18n", "tests"]
_LONGEST = 4_096
_SECONDS_A_RUN = 20
_MIB = 2_048


def main(name: str, runs: str, seed: str, corpus: str) -> None:
    """Never returns: libFuzzer ends the process."""
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.prove.fuzz_targets import PLANTED, TARGETS  # noqa: PLC0415 - instrumented

    target = TARGETS.get(name, PLANTED)
    for number, each in enumerate(target.seeds):
        Path(corpus, f"seed{number}").write_bytes(each)
    options = [
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={_LONGEST}",
        f"-timeout={_SECONDS_A_RUN}",
        f"-rss_limit_mb={_MIB}",
        f"-artifact_prefix={corpus}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, corpus], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
