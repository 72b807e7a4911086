"""`python -m lockgate.cli`: how one Lockgate process starts another, wherever the `lockgate` script lies."""

from __future__ import annotations

from lockgate.cli.main import main

if __name__ == "__main__":
    main()
