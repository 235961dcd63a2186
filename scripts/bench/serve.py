"""Serve the local backend by itself, with the routes that break it and tell the truth (not for production).

    python scripts/bench/serve.py STORE          token and admin token: BENCH_TOKEN, BENCH_ADMIN_TOKEN

Prints its address on the first line, and ends with SIGTERM.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evalrunner.backend.server import serve


def main() -> int:
    """Serve until told to stop."""
    serve(
        Path(sys.argv[1]),
        token=os.environ["BENCH_TOKEN"],
        admin_token=os.environ["BENCH_ADMIN_TOKEN"],
        ready=lambda url: print(url, flush=True),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
