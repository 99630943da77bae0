"""`python -m scorch`: the command, where no script for it is installed."""

import sys

from scorch.cli import main

if __name__ == "__main__":
    sys.exit(main())
