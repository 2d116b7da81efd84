"""amoCRM: one task per client, for the user whose e-mail is the rep's.

amoCRM has no field for a foreign id and does not search tasks by their text, so the key of a row stands in the last
line of the task's text, and it is found by reading the tasks of the last days. The answer to a creation repeats our
`request_id`; the portal does not keep it. Lists may show a new task some seconds late: what is not
found at once stays in doubt, and is looked up again a minute and a half later or when a dead sender's lease is over.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
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
from clients.amocrm import PAGE_LIMIT, AmocrmClient, BlockedForLong, NoSuchRecord, marked_followup, task_marker
from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.limits import Limits
from clients.tokens import TokenStore

log = logging.getLogger(__name__)

CALL = 1  # the task type that every account has
WORKDAY_END = time(18, 0)
# The portal's clock may differ from the ledger's.
CLOCK_SKEW = timedelta(days=1)
WALKS = 2
TASKS_OF_REQUEST = 50
IDS_OF_REQUEST = 100  # of a filter: they make the address long
_CHANNEL_STATUSES = {401, 402, 403, 404}
Result = TypeVar("Result")


class AmocrmChannel:
    """Tasks of one account."""

    name = "amocrm"
    per: Per = "client"

    def __init__(
        self,
        connection: Connection,
        renderer: Renderer,
        *,
        limits: Limits | None = None,
        tokens: TokenStore | None = None,
        client: AmocrmClient | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """limits, tokens: shared with the other workers; OAuth needs `tokens`. release: called when we are closed."""
        self._connection = connection
        self._renderer = renderer
        self._limits = limits
        self._tokens = tokens
        self._client = client
        self._release = release
        self._users: dict[str, int] | None = None

    def find(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        if not keys:
            return {}
        try:
            tasks = self._marked_tasks(min(key.since for key in keys) - CLOCK_SKEW)
        except ClientError as error:
            return {key.value: CannotTell(str(error)) for key in keys}
        return {key.value: Receipt(str(tasks[key.value])) if key.value in tasks else NotFound() for key in keys}

    def check(self, delivery: Delivery) -> str:
        self._text(delivery)
        return str(self._responsible(delivery))

    def words(self, delivery: Delivery) -> str:
        return self._text(delivery)

    def send(self, delivery: Delivery) -> Receipt:
        result = self.send_many([delivery])[delivery.key.value]
        if isinstance(result, ClientError):
            raise result
        return result

    def send_many(self, deliveries: Sequence[Delivery]) -> Mapping[str, Receipt | ClientError]:
        """One request for many tasks; each is known again in the answer by its `request_id`."""
        results: dict[str, Receipt | ClientError] = {}
        tasks: list[dict[str, Any]] = []
        for delivery in deliveries:
            try:
                tasks.append(self._task(delivery))
            except ChannelDown:
                raise
            except ClientError as error:
                results[delivery.key.value] = error
        for start in range(0, len(tasks), TASKS_OF_REQUEST):
            part = tasks[start : start + TASKS_OF_REQUEST]
            try:
                results |= self._create(part)
            except ChannelDown:
                if start == 0:
                    raise
                # What was sent is sent; the rest was certainly not.
                down = Retriable("the portal went out of order half-way")
                results |= dict.fromkeys((task["request_id"] for task in tasks[start:]), down)
                break
        return results

    def outcomes(self, task_ids: Sequence[str]) -> Mapping[str, TaskOutcome | ClientError | None]:
        """A page of tasks to a request. The list is some seconds behind: what was closed just now is told next time."""
        found: dict[str, TaskOutcome | ClientError | None] = dict.fromkeys(task_ids)
        for start in range(0, len(task_ids), IDS_OF_REQUEST):
            part = task_ids[start : start + IDS_OF_REQUEST]
            try:
                for task in self._pages("tasks", "tasks", {"filter": {"id": [int(task_id) for task_id in part]}}):
                    if str(task["id"]) in found:
                        found[str(task["id"])] = _outcome(task)
            except ChannelDown:
                raise
            except ClientError as error:
                found |= dict.fromkeys(part, error)
        return found

    def is_done(self, task_id: str) -> bool | None:
        """Whether the rep has closed the task; None when there is no such task any more."""
        try:
            task = self._one(task_id)
        except NoSuchRecord:
            return None
        return None if task is None else _outcome(task).is_done

    def finish(self, task_id: str, comment: str | None) -> None:
        """Close the task with a comment as its result; one request, harmless when repeated."""
        result = {"result": {"text": comment}} if comment else {}
        try:
            self._asked(lambda portal: portal.patch(f"tasks/{task_id}", {"is_completed": True, **result}))
        except NoSuchRecord:
            log.info("task %s is not there any more, there is nothing to close", task_id)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._release()

    # --- inside ---

    def _task(self, delivery: Delivery) -> dict[str, Any]:
        zone = ZoneInfo(self._renderer.time_zone)
        return {
            "task_type_id": CALL,
            "text": self._text(delivery),
            "complete_till": int(datetime.combine(delivery.as_of, WORKDAY_END, zone).timestamp()),
            "responsible_user_id": self._responsible(delivery),
            "request_id": delivery.key.value,
        }

    def _create(self, tasks: Sequence[dict[str, Any]]) -> dict[str, Receipt | ClientError]:
        """A result for every task. Raises ChannelDown: nothing was created."""
        try:
            answer = self._asked(lambda portal: portal.post("tasks", tasks))
        except ChannelDown:
            raise
        except Fatal as error:
            if len(tasks) == 1:
                return {tasks[0]["request_id"]: error}
            # One bad task spoils the whole request: the others go by themselves.
            return {key: result for task in tasks for key, result in self._create([task]).items()}
        except ClientError as error:
            return dict.fromkeys((task["request_id"] for task in tasks), error)
        made = {str(one.get("request_id")): one.get("id") for one in _embedded(answer, "tasks")}
        lost = Unknown("POST tasks: the portal took the request and did not name the task")
        return {
            task["request_id"]: Receipt(str(made[task["request_id"]]), f"user:{task['responsible_user_id']}")
            if made.get(task["request_id"])
            else lost
            for task in tasks
        }

    def _text(self, delivery: Delivery) -> str:
        row = delivery.rows[0]
        description = self._renderer.task_description(row, delivery.contacts.phone_of(row))
        return f"{self._renderer.task_title(row)}\n\n{plain(description)}\n\n{task_marker(delivery.key.value)}"

    def _responsible(self, delivery: Delivery) -> int:
        """Id of the active user with the rep's e-mail."""
        email = delivery.manager.email
        if not email:
            raise Fatal(reason("no_email", self._renderer.language))
        if self._users is None:
            self._users = self._active_users()
        user = self._users.get(email.strip().lower())
        if user is None:
            raise Fatal(reason("no_employee", self._renderer.language))
        return user

    def _active_users(self) -> dict[str, int]:
        users: dict[str, int] = {}
        for user in self._pages("users", "users", {}):
            rights = user.get("rights")
            active = rights.get("is_active", True) if isinstance(rights, dict) else True
            if active and user.get("email"):
                users.setdefault(str(user["email"]).strip().lower(), int(user["id"]))
        return users

    def _marked_tasks(self, since: datetime) -> dict[str, int]:
        """followup_id -> oldest task that bears it, of those touched since then.

        A task that is deleted while pages go by may hide another one from a walk, so more than one page is walked
        again; what any walk saw is there.
        """
        found: dict[str, int] = {}
        conditions = {"filter": {"updated_at": {"from": int(since.timestamp())}}, "order": {"id": "asc"}}
        for _ in range(WALKS):
            seen = 0
            for task in self._pages("tasks", "tasks", conditions):
                seen += 1
                followup_id = marked_followup(task.get("text"))
                if followup_id is not None:
                    found[followup_id] = min(int(task["id"]), found.get(followup_id, int(task["id"])))
            if seen < PAGE_LIMIT:
                break
        return found

    def _pages(self, path: str, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        page, more = 1, True
        while more:
            numbered = {**params, "limit": PAGE_LIMIT, "page": page}
            body = self._asked(lambda portal, numbered=numbered: portal.get(path, numbered))  # type: ignore[misc]
            if body is None:
                return records
            try:
                content = json.loads(body)
                records += content["_embedded"][name]
                more = "next" in content["_links"]
            except (ValueError, KeyError, TypeError):
                raise Retriable(f"GET {path}: the portal's answer cannot be read") from None
            page += 1
        return records

    def _one(self, task_id: str) -> dict[str, Any] | None:
        body = self._asked(lambda portal: portal.get(f"tasks/{task_id}"))
        task = json.loads(body) if body is not None else None
        return task if isinstance(task, dict) else None

    def _asked(self, ask: Callable[[AmocrmClient], Result]) -> Result:
        try:
            return ask(self._portal())
        except NoSuchRecord:
            raise
        except BlockedForLong as error:
            raise ChannelDown(str(error), status=error.status) from None
        except Fatal as error:
            if error.status in _CHANNEL_STATUSES or error.status is None:
                raise ChannelDown(str(error), status=error.status) from None
            raise

    def _portal(self) -> AmocrmClient:
        if self._client is None:
            # A sender must be done, or have given up, while its lease lasts.
            self._client = AmocrmClient(
                self._connection, limits=self._limits, tokens=self._tokens, timeout=30.0, attempts=3, longest_wait=20.0
            )
        return self._client


def _outcome(task: Mapping[str, Any]) -> TaskOutcome:
    result = task.get("result")
    text = result.get("text") if isinstance(result, dict) else None
    return TaskOutcome(bool(task.get("is_completed")), str(text) if text else None)


def _embedded(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    embedded = answer.get("_embedded")
    found = embedded.get(name) if isinstance(embedded, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
