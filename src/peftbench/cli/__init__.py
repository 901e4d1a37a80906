"""The command line, one file per command. Arguments in, one call out."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; errors meant for the user end with exit code 2."""
    from peftbench.cli._app import app
    from peftbench.errors import PeftbenchError

    try:
        app()
    except PeftbenchError as error:
        print(f"peftbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
