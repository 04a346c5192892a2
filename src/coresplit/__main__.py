"""``python -m coresplit``."""

from coresplit.cli import main

main()
