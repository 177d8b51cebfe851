"""Make `python -m fasthio` the command."""

import sys

from .cli import main

sys.exit(main())
