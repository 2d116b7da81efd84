"""A HubSpot account for tests and the demo: objects, search, associations, limits and failures of the real CRM API."""

from simulators.hubspot.app import TOKEN, build_app
from simulators.hubspot.faults import Fault
from simulators.hubspot.limits import Limits
from simulators.hubspot.portal import Portal
from simulators.hubspot.world import fill, hubspot_id

__all__ = ["TOKEN", "Fault", "Limits", "Portal", "build_app", "fill", "hubspot_id"]
