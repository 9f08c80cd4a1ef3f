"""``python -m simresid.selfcheck``."""

import sys

from simresid.selfcheck import main

sys.exit(main())
