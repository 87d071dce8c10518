"""``python -m spotkeeper_agent``: the same as ``spotkeeper-agent``."""

from __future__ import annotations

import sys

from spotkeeper_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
