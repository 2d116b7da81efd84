"""An amoCRM account for tests and the demo: API v4 with its limits, tokens, envelopes and failures."""

from simulators.amocrm.access import Integration
from simulators.amocrm.app import AmocrmApp, build_app
from simulators.amocrm.faults import Fault
from simulators.amocrm.limits import Limits

__all__ = ["AmocrmApp", "Fault", "Integration", "Limits", "build_app"]
