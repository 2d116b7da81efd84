"""The scripts of deploy/ are no package; the tests import them from their folder."""

import sys

from warehouse.settings import PROJECT_ROOT

sys.path.insert(0, str(PROJECT_ROOT / "deploy"))
