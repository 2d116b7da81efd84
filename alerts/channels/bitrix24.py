"""Bitrix24: one task per client, for the employee whose e-mail is the rep's.

The key of a row lives in the task's XML_ID. Tasks are looked up by it before any is created and after every answer
that did not come. Portals filter by XML_ID although the documentation of tasks.task.list does not promise it, so every
answer is checked; a portal that ignores the filter is searched by documented means: own tasks of the last days, one by
one.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
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
)
from alerts.render import Renderer
from alerts.wording import reason
from clients.bitrix24 import Answer, Bitrix24Client, as_list, as_map
from clients.connection import Connection
from clients.errors import ClientError, Fatal, Retriable, Unknown
from clients.limits import Limits
from clients.tokens import TokenStore

log = logging.getLogger(__name__)

PAGE = 50
STATUS_DONE = "5"
TASKS_OF_REQUEST = 20
WORKDAY_END = time(18, 0)
# The portal's clock may differ from the ledger's.
CLOCK_SKEW = timedelta(days=1)
_CHANNEL_CODES = {
    "NO_AUTH_FOUND", "expired_token", "INVALID_CREDENTIALS", "insufficient_scope", "ACCESS_DENIED",
    "user_access_error", "OVERLOAD_LIMIT", "PORTAL_DELETED", "ERROR_METHOD_NOT_FOUND",
}  # fmt: skip


class Bitrix24Channel:
    """Tasks of one portal."""

    name = "bitrix24"
    per: Per = "client"

    def __init__(
        self,
        connection: Connection,
        renderer: Renderer,
        *,
        limits: Limits | None = None,
        tokens: TokenStore | None = None,
        client: Bitrix24Client | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """limits, tokens: shared with the other workers; OAuth needs `tokens`. release: called when we are closed."""
        self._connection = connection
        self._renderer = renderer
        self._limits = limits
        self._tokens = tokens
        self._client = client
        self._release = release
        self._users: dict[str, str | None] = {}
        self._filter_works = True

    def find(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        if not keys:
            return {}
        try:
            found = self._find_by_xml_id(keys) if self._filter_works else self._find_by_walking(keys)
        except ClientError as error:
            return {key.value: CannotTell(str(error)) for key in keys}
        return found

    def check(self, delivery: Delivery) -> str:
        self._task(delivery)
        return self._responsible(delivery)

    def words(self, delivery: Delivery) -> str:
        task = self._task(delivery)
        return f"{task['TITLE']}\n\n{task['DESCRIPTION']}"

    def send(self, delivery: Delivery) -> Receipt:
        responsible = self._responsible(delivery)
        answer = self._call("tasks.task.add", self._arguments(delivery, responsible), repeatable=False)
        receipt = _receipt(answer, responsible)
        if isinstance(receipt, Unknown):
            raise receipt
        return receipt

    def send_many(self, deliveries: Sequence[Delivery]) -> Mapping[str, Receipt | ClientError]:
        """One request for up to twenty tasks: creating one takes a portal about a second, a request has sixty."""
        results: dict[str, Receipt | ClientError] = {}
        responsible: dict[str, str] = {}
        for delivery in deliveries:
            try:
                responsible[delivery.key.value] = self._responsible(delivery)
            except ChannelDown:
                raise
            except ClientError as error:
                results[delivery.key.value] = error
        ready = [delivery for delivery in deliveries if delivery.key.value in responsible]
        for start in range(0, len(ready), TASKS_OF_REQUEST):
            part = ready[start : start + TASKS_OF_REQUEST]
            commands = {
                one.key.value: ("tasks.task.add", self._arguments(one, responsible[one.key.value])) for one in part
            }
            results |= self._created(commands, responsible)
        return results

    def outcomes(self, task_ids: Sequence[str]) -> Mapping[str, TaskOutcome | ClientError | None]:
        """Fifty tasks to a request, and as many again for the words of those that are closed."""
        found: dict[str, TaskOutcome | ClientError | None] = {}
        for task_id, answer in self._each("tasks.task.get", task_ids, select=["ID", "STATUS"]).items():
            done = _is_done(answer) if isinstance(answer, Answer) else None
            told = answer if isinstance(answer, ClientError) else None
            found[task_id] = told if done is None else TaskOutcome(done, None)
        closed = [task_id for task_id, one in found.items() if isinstance(one, TaskOutcome) and one.is_done]
        for task_id, answer in self._each("tasks.task.result.list", closed).items():
            found[task_id] = TaskOutcome(True, _last_words(answer)) if isinstance(answer, Answer) else answer
        return found

    def is_done(self, task_id: str) -> bool | None:
        """Whether the rep has closed the task; None when there is no such task any more."""
        return _is_done(self._call("tasks.task.get", {"taskId": task_id, "select": ["ID", "STATUS"]}, repeatable=True))

    def comment(self, task_id: str, text: str) -> None:
        """Raises Unknown when the comment may or may not be there."""
        params = {"TASKID": int(task_id), "FIELDS": {"POST_MESSAGE": text}}
        self._call("task.commentitem.add", params, repeatable=False)

    def complete(self, task_id: str) -> None:
        """Close the task; a closed one stays closed."""
        try:
            self._call("tasks.task.complete", {"taskId": task_id}, repeatable=True)
        except Fatal:
            if self.is_done(task_id) is False:
                raise

    def finish(self, task_id: str, comment: str | None) -> None:
        """Close the task, with a comment unless it is None."""
        if comment is not None:
            try:
                self.comment(task_id, comment)
            except Unknown as error:
                log.warning("the comment may be missing: %s", error)
        self.complete(task_id)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._release()

    # --- inside ---

    def _arguments(self, delivery: Delivery, responsible: str) -> dict[str, Any]:
        return {
            "fields": {**self._task(delivery), "RESPONSIBLE_ID": responsible, "XML_ID": delivery.key.value},
        }

    def _created(
        self, commands: Mapping[str, tuple[str, Mapping[str, Any]]], responsible: Mapping[str, str]
    ) -> dict[str, Receipt | ClientError]:
        try:
            answers = self._portal().batch(commands, repeatable=False)
        except ClientError as error:
            told = _told_apart(error) if isinstance(error, Fatal) else error
            if isinstance(told, ChannelDown):
                raise told from None
            return dict.fromkeys(commands, told)
        down = [error for error in answers.values() if isinstance(error, Fatal) and error.code in _CHANNEL_CODES]
        if len(down) == len(answers):
            raise ChannelDown(str(down[0]), code=down[0].code)
        return {
            key: _receipt(answer, responsible[key]) if isinstance(answer, Answer) else answer
            for key, answer in answers.items()
        }

    def _task(self, delivery: Delivery) -> dict[str, str]:
        row = delivery.rows[0]
        zone = ZoneInfo(self._renderer.time_zone)
        return {
            "TITLE": self._renderer.task_title(row),
            "DESCRIPTION": self._renderer.task_description(row, delivery.contacts.phone_of(row)),
            "DEADLINE": _deadline(delivery.as_of, zone),
        }

    def _responsible(self, delivery: Delivery) -> str:
        """Id of the active employee with the rep's e-mail."""
        email = delivery.manager.email
        if not email:
            raise Fatal(reason("no_email", self._renderer.language))
        if email not in self._users:
            answer = self._call("user.get", {"FILTER": {"EMAIL": email, "ACTIVE": True}}, repeatable=True)
            rows = [as_map(row) for row in as_list(answer.result)]
            if rows and not any("EMAIL" in row for row in rows):
                raise ChannelDown("the webhook may not see e-mails of employees: tick the right 'user' in its settings")
            # A portal may ignore the condition: only the e-mail itself is proof.
            ids = [
                str(row["ID"])
                for row in rows
                if str(row.get("EMAIL", "")).lower() == email.lower() and row.get("ACTIVE", True)
            ]
            self._users[email] = min(ids, key=int) if ids else None
        user = self._users[email]
        if user is None:
            raise Fatal(reason("no_employee", self._renderer.language))
        return user

    def _find_by_xml_id(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        select = ["ID", "XML_ID"]
        commands: dict[str, tuple[str, dict[str, Any]]] = {
            key.value: ("tasks.task.list", {"filter": {"XML_ID": key.value}, "select": select, "order": {"ID": "asc"}})
            for key in keys
        }
        findings: dict[str, Finding] = {}
        answers = self._portal().batch(commands, repeatable=True)
        for key in keys:
            answer = answers[key.value]
            if not isinstance(answer, Answer):
                findings[key.value] = CannotTell(str(answer))
                continue
            tasks = _tasks(answer)
            if any(str(task.get("xmlId")) != key.value for task in tasks):
                log.warning("the portal ignores the filter by XML_ID; looking through own tasks instead")
                self._filter_works = False
                return self._find_by_walking(keys)
            findings[key.value] = Receipt(str(tasks[0]["id"])) if tasks else NotFound()
        return findings

    def _find_by_walking(self, keys: Sequence[Key]) -> Mapping[str, Finding]:
        """All tasks that this webhook created since the first key was planned, oldest first."""
        portal = self._portal()
        me = portal.user_id or str(as_map(portal.call("profile", repeatable=True).result).get("ID"))
        since = (min(key.since for key in keys) - CLOCK_SKEW).isoformat(timespec="seconds")
        ids: dict[str, str] = {}
        last = 0
        while True:
            params = {
                "filter": {"CREATED_BY": me, ">=CREATED_DATE": since, ">ID": last},
                "select": ["ID", "XML_ID"],
                "order": {"ID": "asc"},
            }
            answer = portal.call("tasks.task.list", params, repeatable=True)
            tasks = _tasks(answer)
            if answer.total is not None and len(tasks) < min(PAGE, answer.total):
                raise Retriable(f"tasks.task.list promised {answer.total} tasks and sent {len(tasks)}")
            for task in tasks:
                ids.setdefault(str(task.get("xmlId")), str(task["id"]))
            if len(tasks) < PAGE:
                return {key.value: Receipt(ids[key.value]) if key.value in ids else NotFound() for key in keys}
            following = int(tasks[-1]["id"])
            if following <= last:
                raise Retriable("tasks.task.list repeats a page")
            last = following

    def _portal(self) -> Bitrix24Client:
        if self._client is None:
            self._client = Bitrix24Client(self._connection, limits=self._limits, tokens=self._tokens)
        return self._client

    def _each(self, method: str, task_ids: Sequence[str], **params: Any) -> Mapping[str, Answer | ClientError]:
        """The answers of a harmless method for each task. Raises ChannelDown."""
        commands = {task_id: (method, {"taskId": task_id, **params}) for task_id in task_ids}
        try:
            answers = self._portal().batch(commands, repeatable=True)
        except Fatal as error:
            raise _told_apart(error) from None
        down = [error for error in answers.values() if isinstance(error, Fatal) and error.code in _CHANNEL_CODES]
        if down and len(down) == len(answers):
            raise _told_apart(down[0])
        return answers

    def _call(self, method: str, params: Mapping[str, Any], *, repeatable: bool) -> Answer:
        try:
            return self._portal().call(method, params, repeatable=repeatable)
        except Fatal as error:
            raise _told_apart(error) from None


def _told_apart(error: Fatal) -> Fatal:
    """The same error, or ChannelDown when it concerns every task."""
    if error.code in _CHANNEL_CODES or error.status in (401, 403, 404, 405) or error.status is None:
        return ChannelDown(str(error), status=error.status, code=error.code)
    return error


def _receipt(answer: Answer, responsible: str) -> Receipt | Unknown:
    try:
        return Receipt(str(answer.result["task"]["id"]), f"user:{responsible}")
    except (KeyError, TypeError):
        return Unknown("tasks.task.add: the portal took the task and did not say its id")


def _is_done(answer: Answer) -> bool | None:
    task = as_map(as_map(answer.result).get("task"))
    return str(task.get("status")) == STATUS_DONE if task else None


def _last_words(answer: Answer) -> str | None:
    results = sorted((as_map(row) for row in as_list(answer.result)), key=lambda row: str(row.get("createdAt")))
    text = results[-1].get("text") if results else None
    return str(text) if text else None


def _tasks(answer: Answer) -> list[dict[str, Any]]:
    return [as_map(task) for task in as_list(as_map(answer.result).get("tasks"))]


def _deadline(as_of: date, zone: ZoneInfo) -> str:
    return datetime.combine(as_of, WORKDAY_END, zone).isoformat(timespec="seconds")
