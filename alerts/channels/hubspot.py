"""HubSpot: one task per client, for the owner whose e-mail is the rep's.

The key of a row lives in a property of ours, `polka_followup_id`, which the account keeps unique: a second task of the
same key is refused by HubSpot itself. Tasks are looked up by that property and not by search, which is late by seconds.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from alerts.channels.base import (
    CannotTell,
    ChannelDown,
    Delivery,
    Finding,
    Key,
    NotFound,
    Per,
    Receipt,
    TaskOutcome,
    plain,
)
from alerts.render import Renderer
from alerts.wording import reason
from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.hubspot import UNIQUE_VALUE_TAKEN, HubspotClient
from clients.limits import LimitReached, Limits

log = logging.getLogger(__name__)

TASKS = "/crm/v3/objects/tasks"
PROPERTIES = "/crm/v3/properties/tasks"
MARKER, OUTCOME = "polka_followup_id", "polka_outcome"
BATCH = 100
WORKDAY_END = time(18, 0)
_CHANNEL_STATUSES = {401, 403}
_COMPLETED = "COMPLETED"
_OWN_PROPERTIES: dict[str, dict[str, Any]] = {
    MARKER: {"label": "Polka: ключ строки", "type": "string", "fieldType": "text", "hasUniqueValue": True},
    OUTCOME: {"label": "Polka: чем закончилось", "type": "string", "fieldType": "textarea"},
}
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Task:
    """A task to be made: its key, the id of its owner as the ledger keeps it, and its properties."""

    key: str
    recipient: str
    properties: dict[str, str] = field(repr=False)


class HubspotChannel:
    """Tasks of one account."""

    name = "hubspot"
    per: Per = "client"

    def __init__(
        self,
        connection: Connection,
        renderer: Renderer,
        *,
        limits: Limits | None = None,
        client: HubspotClient | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """limits: shared with the other workers. release: called when we are closed."""
        self._connection = connection
        self._renderer = renderer
        self._limits = limits
        self._client = client
        self._release = release
        self._owners: dict[str, str] | None = None
        self._marked = False

    def find(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        if not keys:
            return {}
        try:
            if not self._has_marker():
                return {key.value: NotFound() for key in keys}
            found = self._tasks([key.value for key in keys])
        except ClientError as error:
            return {key.value: CannotTell(str(error)) for key in keys}
        return {key.value: Receipt(found[key.value]) if key.value in found else NotFound() for key in keys}

    def check(self, delivery: Delivery) -> str:
        self._task(delivery)
        return self._owner(delivery)

    def words(self, delivery: Delivery) -> str:
        task = self._task(delivery)
        return f"{task['hs_task_subject']}\n\n{task['hs_task_body']}"

    def send(self, delivery: Delivery) -> Receipt:
        result = self.send_many([delivery])[delivery.key.value]
        if isinstance(result, ClientError):
            raise result
        return result

    def send_many(self, deliveries: Sequence[Delivery]) -> Mapping[str, Receipt | ClientError]:
        """A hundred tasks to a request; each is known again in the answer by its key."""
        results: dict[str, Receipt | ClientError] = {}
        tasks: list[_Task] = []
        for delivery in deliveries:
            try:
                owner = self._owner(delivery)
                properties = {**self._task(delivery), "hubspot_owner_id": owner, MARKER: delivery.key.value}
                tasks.append(_Task(delivery.key.value, f"owner:{owner}", properties))
            except ChannelDown:
                raise
            except ClientError as error:
                results[delivery.key.value] = error
        if tasks:
            self._make_marker()
        for start in range(0, len(tasks), BATCH):
            try:
                results |= self._create_all(tasks[start : start + BATCH])
            except ChannelDown:
                if start == 0:
                    raise
                # What was sent is sent; the rest was certainly not.
                down = Retriable("the account went out of order half-way")
                results |= dict.fromkeys((task.key for task in tasks[start:]), down)
                break
        return results

    def outcomes(self, task_ids: Sequence[str]) -> Mapping[str, TaskOutcome | ClientError | None]:
        """A hundred tasks to a request."""
        found: dict[str, TaskOutcome | ClientError | None] = dict.fromkeys(task_ids)
        for start in range(0, len(task_ids), BATCH):
            part = task_ids[start : start + BATCH]
            body = {
                "properties": ["hs_task_status", OUTCOME],
                "propertiesWithHistory": [],
                "inputs": [{"id": task_id} for task_id in part],
            }
            try:
                answer = self._asked(lambda account, body=body: account.read(f"{TASKS}/batch/read", body).json())  # type: ignore[misc]
            except ChannelDown:
                raise
            except ClientError as error:
                found |= dict.fromkeys(part, error)
                continue
            for task in answer.get("results") or []:
                told = task["properties"]
                is_done = told.get("hs_task_status") == _COMPLETED
                found[str(task["id"])] = TaskOutcome(is_done, told.get(OUTCOME) or None)
        return found

    def is_done(self, task_id: str) -> bool | None:
        """Whether the rep has closed the task; None when there is no such task any more."""
        task = self._one(task_id, "hs_task_status")
        return None if task is None else task.get("hs_task_status") == _COMPLETED

    def finish(self, task_id: str, comment: str | None) -> None:
        """Close the task, with a comment below its text; harmless when repeated."""
        task = self._one(task_id, "hs_task_body")
        if task is None:
            log.info("task %s is not there any more, there is nothing to close", task_id)
            return
        properties = {"hs_task_status": _COMPLETED}
        body = task.get("hs_task_body") or ""
        if comment and comment not in body:
            properties["hs_task_body"] = f"{body}\n\n{comment}".strip()
        self._asked(lambda account: account.change(f"{TASKS}/{task_id}", {"properties": properties}))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._release()

    # --- inside ---

    def _create_all(self, tasks: Sequence[_Task]) -> dict[str, Receipt | ClientError]:
        """One request. Where HubSpot refuses it, it does not say for which task: they are then made one by one."""
        inputs = [{"properties": task.properties, "associations": []} for task in tasks]
        try:
            answer = self._asked(lambda account: account.create(f"{TASKS}/batch/create", {"inputs": inputs}))
            told = answer.json().get("results") or []
            made = {str(task["properties"][MARKER]): str(task["id"]) for task in told}
        except ChannelDown:
            raise
        except Fatal:
            made = {}
        except (KeyError, TypeError):
            return dict.fromkeys((task.key for task in tasks), Unknown("the account took the tasks and told no ids"))
        except ClientError as error:
            if error.code == "not_json":
                error = Unknown("the account took the tasks and its answer cannot be read")
            return dict.fromkeys((task.key for task in tasks), error)
        results: dict[str, Receipt | ClientError] = {}
        for task in tasks:
            results[task.key] = Receipt(made[task.key], task.recipient) if task.key in made else self._create(task)
        return results

    def _create(self, task: _Task) -> Receipt | ClientError:
        """One task. It cannot come twice: its key is unique."""
        body = {"properties": task.properties, "associations": []}
        try:
            made = self._asked(lambda account: account.create(TASKS, body)).json()
            return Receipt(str(made["id"]), task.recipient)
        except KeyError:
            return Unknown("the account took the task and did not say its id")
        except ChannelDown as error:
            return Retriable(str(error))
        except Fatal as error:
            if error.code != UNIQUE_VALUE_TAKEN:
                return error
        except ClientError as error:
            return Unknown(str(error)) if error.code == "not_json" else error
        # Somebody, perhaps we before a crash, has made it already.
        try:
            found = self._tasks([task.key]).get(task.key)
        except ClientError as error:
            return Unknown(str(error))
        return Receipt(found, task.recipient) if found else Unknown("the task's key is taken and not to be found")

    def _task(self, delivery: Delivery) -> dict[str, str]:
        row = delivery.rows[0]
        due = datetime.combine(delivery.as_of, WORKDAY_END, ZoneInfo(self._renderer.time_zone))
        return {
            "hs_task_subject": self._renderer.task_title(row),
            "hs_task_body": plain(self._renderer.task_description(row, delivery.contacts.phone_of(row))),
            "hs_timestamp": due.isoformat(timespec="seconds"),
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "CALL",
        }

    def _owner(self, delivery: Delivery) -> str:
        """Id of the active owner with the rep's e-mail."""
        email = (delivery.manager.email or "").strip().lower()
        if not email:
            raise Fatal(reason("no_email", self._renderer.language))
        if self._owners is None:
            self._owners = self._active_owners()
        owner = self._owners.get(email)
        if owner is None:
            raise Fatal(reason("no_employee", self._renderer.language))
        return owner

    def _active_owners(self) -> dict[str, str]:
        """Owner ids by e-mail. All are read: an e-mail in an address would be in every log on the way."""
        owners: dict[str, str] = {}
        after: str | None = None
        while True:
            params = {"limit": BATCH} | ({"after": after} if after else {})
            answer = self._asked(lambda account, params=params: account.get("/crm/v3/owners", params).json())  # type: ignore[misc]
            for owner in answer.get("results") or []:
                if owner.get("email") and not owner.get("archived"):
                    owners.setdefault(str(owner["email"]).strip().lower(), str(owner["id"]))
            after = ((answer.get("paging") or {}).get("next") or {}).get("after")
            if not after:
                return owners

    def _tasks(self, keys: Sequence[str]) -> dict[str, str]:
        """Task ids by key, of those that are there."""
        found: dict[str, str] = {}
        for start in range(0, len(keys), BATCH):
            body = {
                "idProperty": MARKER,
                "properties": [MARKER],
                "propertiesWithHistory": [],
                "inputs": [{"id": key} for key in keys[start : start + BATCH]],
            }
            answer = self._asked(lambda account, body=body: account.read(f"{TASKS}/batch/read", body).json())  # type: ignore[misc]
            for task in answer.get("results") or []:
                found[str(task["properties"][MARKER])] = str(task["id"])
        return found

    def _one(self, task_id: str, *names: str) -> dict[str, Any] | None:
        try:
            answer = self._asked(lambda account: account.get(f"{TASKS}/{task_id}", {"properties": names}).json())
        except Fatal as error:
            if error.status == 404:
                return None
            raise
        properties: dict[str, Any] = answer["properties"]
        return properties

    def _has_marker(self) -> bool:
        """Whether the account has our property, and keeps it unique. Without it no task of ours can be there."""
        if self._marked:
            return True
        try:
            found = self._asked(lambda account: account.get(f"{PROPERTIES}/{MARKER}").json())
        except Fatal as error:
            if error.status == 404:
                return False
            raise
        if not found.get("hasUniqueValue"):
            raise ChannelDown(f"the tasks' property {MARKER} must hold unique values: delete it, it will be made anew")
        self._marked = True
        return True

    def _make_marker(self) -> None:
        """Add our properties to the account's tasks, in the group of the standard ones."""
        if self._has_marker():
            return
        group = self._asked(lambda account: account.get(f"{PROPERTIES}/hs_task_subject").json()).get("groupName")
        for name, definition in _OWN_PROPERTIES.items():
            body = {"name": name, "groupName": group, **definition}
            try:
                self._asked(lambda account, body=body: account.create(PROPERTIES, body))  # type: ignore[misc]
            except Fatal as error:
                if error.status != 409:  # somebody else has just made it
                    raise ChannelDown(
                        f"{error}; the private app needs the right to add the property {name} to tasks"
                    ) from None
            except Unknown:
                pass  # asked for again below
        if not self._has_marker():
            raise ChannelDown(f"the tasks' property {MARKER} could not be made")

    def _asked(self, ask: Callable[[HubspotClient], Result]) -> Result:
        if self._client is None:
            self._client = HubspotClient(self._connection, limits=self._limits)
        try:
            return ask(self._client)
        except LimitReached as error:
            raise ChannelDown(str(error), status=error.status, code=error.code) from None
        except Fatal as error:
            if error.status in _CHANNEL_STATUSES or error.status is None:
                raise ChannelDown(str(error), status=error.status, code=error.code) from None
            raise
