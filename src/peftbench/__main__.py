"""`python -m peftbench`."""

from __future__ import annotations

from peftbench.cli import main

if __name__ == "__main__":
    main()
