"""`make bench`: measures the order path and deployments, and prints what the project has gained or lost.

It checks nothing, because times depend on the machine. Each figure of a deployment is a ratio of two
measurements that were made side by side. The last lines have the form `ratio NAME VALUE TARGET`.
"""

from __future__ import annotations

import os
import sys

from tests.bench import deployments, order_path


def main() -> int:
    """Measures everything once if the environment variable QUICK is set, and otherwise three times."""
    runs = 1 if os.environ.get("QUICK") else 3
    if runs > 1:
        order_path.ledger()
    order_path.orders()
    deployments.main(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
