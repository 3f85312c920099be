"""`python -m mintmark.cli`."""

import sys

from mintmark.cli import main

sys.exit(main())
