"""`import great_expectations` takes 3 to 15 seconds: it must not happen when a DAG file or the CLI is read."""

import subprocess
import sys

from warehouse.settings import PROJECT_ROOT


def test_importing_the_gate_does_not_import_great_expectations() -> None:
    code = "import sys, expectations, expectations.gate; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False).returncode == 0
