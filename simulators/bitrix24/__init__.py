"""A Bitrix24 portal for tests and the demo: CRM, tasks, users, batch, limits and failures of the real interface."""

from simulators.bitrix24.app import WEBHOOK_CODE, build_app
from simulators.bitrix24.crm import Crm
from simulators.bitrix24.faults import Fault
from simulators.bitrix24.limits import Limits
from simulators.bitrix24.oauth import OAuthApplication
from simulators.bitrix24.portal import BitrixUser

__all__ = ["WEBHOOK_CODE", "BitrixUser", "Crm", "Fault", "Limits", "OAuthApplication", "build_app"]
