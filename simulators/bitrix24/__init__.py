"""A Bitrix24 portal for tests and the demo: tasks, users, batch, limits and failures of the real REST interface."""

from simulators.bitrix24.app import WEBHOOK_CODE, build_app
from simulators.bitrix24.faults import Fault
from simulators.bitrix24.limits import Limits
from simulators.bitrix24.portal import BitrixUser

__all__ = ["WEBHOOK_CODE", "BitrixUser", "Fault", "Limits", "build_app"]
