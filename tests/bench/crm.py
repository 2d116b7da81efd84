"""Reading CRMs at the speed that their limits allow: each kind of CRM has its cases in tests/bench/crm_<kind>.py.

The portals are simulated in processes of their own, with the vendors' limits really counted; so are the peers.
"""

import importlib
from collections.abc import Callable

from tests.bench.database import fresh_database
from tests.bench.result import Result

KINDS = ("bitrix24", "amocrm", "hubspot")


def run(say: Callable[[str], None]) -> list[Result]:
    """All cases of all kinds, each in a warehouse of its own."""
    results: list[Result] = []
    for kind in KINDS:
        cases: Callable[[str, Callable[[str], None]], list[Result]]
        cases = importlib.import_module(f"tests.bench.crm_{kind}").run
        with fresh_database() as url:
            results += cases(url, say)
    return results
