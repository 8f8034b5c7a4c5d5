"""`python -m pipelines` is the same as `mvmodel-pipeline`."""

from __future__ import annotations

import sys

from pipelines.driver.cli import main

if __name__ == "__main__":
    sys.exit(main())
