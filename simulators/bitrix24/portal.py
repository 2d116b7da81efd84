"""Users, tasks and comments of one portal, kept in a JSON file, and the task and user methods over them."""

import contextlib
import operator
import os
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from simulators.bitrix24.php import by_name

PAGE = 50
STATUS_PENDING, STATUS_DONE = "2", "5"
_STATUSES = {"2", "3", "4", "5", "6"}
_SORTABLE = {
    "ID", "TITLE", "DATE_START", "CREATED_DATE", "CHANGED_DATE", "CLOSED_DATE", "ACTIVITY_DATE", "DEADLINE",
    "REAL_STATUS", "STATUS_COMPLETE", "PRIORITY", "MARK", "GROUP_ID", "TIME_ESTIMATE",
}  # fmt: skip
_FILTERS = {
    "ID", "PARENT_ID", "GROUP_ID", "CREATED_BY", "STATUS_CHANGED_BY", "PRIORITY", "RESPONSIBLE_ID", "TITLE", "TAG",
    "REAL_STATUS", "STATUS", "MARK", "XML_ID", "SITE_ID", "ADD_IN_REPORT", "DATE_START", "DEADLINE", "CREATED_DATE",
    "CLOSED_DATE", "CHANGED_DATE", "ACCOMPLICE", "AUDITOR", "STAGE_ID", "UF_CRM_TASK",
}  # fmt: skip
_MOMENTS = {"DATE_START", "DEADLINE", "CREATED_DATE", "CLOSED_DATE", "CHANGED_DATE", "ACTIVITY_DATE"}
_WRITABLE = {
    "TITLE", "DESCRIPTION", "DEADLINE", "START_DATE_PLAN", "END_DATE_PLAN", "PRIORITY", "ACCOMPLICES", "AUDITORS",
    "TAGS", "ALLOW_CHANGE_DEADLINE", "TASK_CONTROL", "PARENT_ID", "GROUP_ID", "RESPONSIBLE_ID", "CREATED_BY",
    "TIME_ESTIMATE", "MARK", "XML_ID", "UF_CRM_TASK", "STATUS",
}  # fmt: skip
_ON_REQUEST = {"UF_CRM_TASK", "TAGS"}
_FILTER_KEY = re.compile(r"^(!=|>=|<=|!%|=%|%=|!@|!|>|<|=|%|@)?(.+)$")
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


@dataclass(frozen=True)
class BitrixUser:
    """An employee of the portal. `id` is a number as a string."""

    id: str
    email: str
    name: str
    last_name: str
    second_name: str = ""
    work_position: str = ""
    active: bool = True
    phone: str = ""


class PortalError(Exception):
    """An error body: HTTP status, code, description."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description


@dataclass(frozen=True)
class Page:
    """A list answer: rows, how many there are in all (None = not a list), offset of the next page."""

    result: Any
    total: int | None = None
    next: int | None = None


class Portal:
    """The state of the portal and its methods; every change is on disk before it is answered."""

    def __init__(self, state_path: Path, users: list[BitrixUser], time_zone: str, now: Callable[[], datetime]) -> None:
        self._path = state_path
        self._users = {user.id: user for user in users}
        self._zone = ZoneInfo(time_zone)
        self._now = now
        self.tasks: dict[str, dict[str, Any]] = {}
        self.comments: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self._last_id = 0
        self.is_new = not state_path.exists()
        if not self.is_new:
            state = orjson.loads(state_path.read_bytes())
            self.tasks = {task["ID"]: task for task in state["tasks"]}
            self.comments = state["comments"]
            self.results = state.get("results", [])
            self._last_id = state["last_id"]

    def methods(self) -> dict[str, Callable[[dict[str, Any], str], Page]]:
        """REST method -> function of (parameters, calling user's id)."""
        return {
            "profile": self._profile,
            "server.time": lambda params, user: Page(self.moment()),
            "user.get": self._user_get,
            "user.current": lambda params, user: Page(self._user_row(self._users[user])),
            "tasks.task.add": self._task_add,
            "tasks.task.get": self._task_get,
            "tasks.task.list": self._task_list,
            "tasks.task.update": self._task_update,
            "tasks.task.complete": self._task_complete,
            "tasks.task.delete": self._task_delete,
            "tasks.task.result.list": self._result_list,
            "tasks.task.result.add": self._result_add,
            "task.commentitem.add": self._comment_add,
            "task.commentitem.getlist": self._comment_list,
        }

    def moment(self) -> str:
        """Now, in the server's zone."""
        return self._now().astimezone(self._zone).isoformat(timespec="seconds")

    def timestamp(self) -> float:
        """Now, in seconds since 1970."""
        return self._now().timestamp()

    # --- users ---

    def _profile(self, params: dict[str, Any], user: str) -> Page:
        me = self._users[user]
        return Page(
            {
                "ID": me.id,
                "ADMIN": True,
                "NAME": me.name,
                "LAST_NAME": me.last_name,
                "PERSONAL_GENDER": "",
                "TIME_ZONE": "",
            }
        )

    def _user_get(self, params: dict[str, Any], user: str) -> Page:
        conditions = by_name(params, "filter")
        if not isinstance(conditions, dict):
            reserved = {"filter", "sort", "order", "start", "select", "admin_mode", "auth", "image_resize"}
            conditions = {key: value for key, value in params.items() if key.lower() not in reserved}
        rows = [self._user_row(each) for each in sorted(self._users.values(), key=lambda each: int(each.id))]
        for name, wanted in conditions.items():
            rows = [row for row in rows if _user_fits(row, name, wanted)]
        return _paged(rows, params)

    def _user_row(self, user: BitrixUser) -> dict[str, Any]:
        return {
            "ID": user.id,
            "ACTIVE": user.active,
            "NAME": user.name,
            "LAST_NAME": user.last_name,
            "SECOND_NAME": user.second_name,
            "EMAIL": user.email,
            "LAST_LOGIN": "2024-07-25T13:06:54+00:00",
            "DATE_REGISTER": "2024-07-15T00:00:00+00:00",
            "TIME_ZONE": "",
            "IS_ONLINE": "N",
            "TIMESTAMP_X": {},
            "LAST_ACTIVITY_DATE": {},
            "PERSONAL_GENDER": "",
            "PERSONAL_BIRTHDAY": "",
            "PERSONAL_MOBILE": user.phone,
            "WORK_PHONE": "",
            "WORK_POSITION": user.work_position,
            "UF_EMPLOYMENT_DATE": "",
            "UF_DEPARTMENT": [1],
            "USER_TYPE": "employee",
        }

    # --- tasks ---

    def _task_add(self, params: dict[str, Any], user: str) -> Page:
        fields = self._fields(params)
        if not str(fields.get("TITLE") or "").strip():
            raise PortalError(400, "ERROR_CORE", "Task title is not specified<br>")
        if not fields.get("RESPONSIBLE_ID"):
            raise PortalError(400, "ERROR_CORE", "Responsible person not specified<br>")
        self._check(fields)
        moment = self.moment()
        self._last_id += 1
        task = {"ID": str(self._last_id), **_new_task(user, moment)}
        task.update(self._stored(fields))
        self.tasks[task["ID"]] = task
        self.save()
        return Page({"task": self._task_view(task, None)})

    def _task_get(self, params: dict[str, Any], user: str) -> Page:
        task = self.tasks.get(_task_id(params))
        if task is None:
            return Page([])  # what the real method answers for a task that is not there or not visible
        return Page({"task": self._task_view(task, by_name(params, "select"))})

    def _task_list(self, params: dict[str, Any], user: str) -> Page:
        conditions = by_name(params, "filter") or {}
        order = by_name(params, "order") or {"ID": "desc"}
        rows = list(self.tasks.values())
        if isinstance(conditions, dict):
            for name, wanted in conditions.items():
                rows = [task for task in rows if self._task_fits(task, name, wanted)]
        for name, direction in reversed(list(order.items() if isinstance(order, dict) else ())):
            if name.upper() not in _SORTABLE:
                raise PortalError(400, "0", "Invalid sorting key (internal error)")
            rows.sort(key=partial(_sort_key, name=name.upper()), reverse=str(direction).lower() == "desc")
        page = _paged(rows, params)
        select = by_name(params, "select")
        views = [self._task_view(task, select) for task in page.result]
        extra = by_name(params, "params")
        if isinstance(extra, dict) and by_name(extra, "WITH_RESULT_INFO"):
            having = {str(result["taskId"]) for result in self.results}
            for view in views:
                view |= {"taskRequireResult": "N", "taskHasOpenResult": "N"}
                view["taskHasResult"] = "Y" if view["id"] in having else "N"
        return Page({"tasks": views}, page.total, page.next)

    def _task_update(self, params: dict[str, Any], user: str) -> Page:
        task = self._existing(params)
        fields = self._fields(params)
        self._check(fields)
        task.update(self._stored(fields), CHANGED_BY=user, CHANGED_DATE=self.moment())
        self.save()
        return Page({"task": self._task_view(task, None)})

    def _task_complete(self, params: dict[str, Any], user: str) -> Page:
        task = self._existing(params)
        if task["STATUS"] == STATUS_DONE:
            raise PortalError(400, "0", "Action on the task is not allowed")
        moment = self.moment()
        task.update(
            STATUS=STATUS_DONE,
            CLOSED_BY=user,
            CLOSED_DATE=moment,
            STATUS_CHANGED_BY=user,
            STATUS_CHANGED_DATE=moment,
            CHANGED_DATE=moment,
        )
        self.save()
        return Page({"task": self._task_view(task, None)})

    def _task_delete(self, params: dict[str, Any], user: str) -> Page:
        if self.tasks.pop(_task_id(params), None) is None:
            raise PortalError(400, "1048582", "No access to delete the task")
        self.save()
        return Page({"task": True})

    def _comment_add(self, params: dict[str, Any], user: str) -> Page:
        task = self.tasks.get(str(by_name(params, "taskid", "")))
        fields = by_name(params, "fields") or {}
        message = str(fields.get("POST_MESSAGE") or "").strip() if isinstance(fields, dict) else ""
        if not message:
            raise PortalError(400, "ERROR_CORE", "Comment text is not specified<br>")
        if task is None:
            raise PortalError(400, "ERROR_CORE", "Insufficient permissions to add a comment.<br>")
        author = str(fields.get("AUTHOR_ID") or user)
        comment = {"ID": str(len(self.comments) + 1), "TASK_ID": task["ID"], "AUTHOR_ID": author}
        self.comments.append({**comment, "POST_MESSAGE": message, "POST_DATE": self.moment()})
        task["COMMENTS_COUNT"] = str(sum(each["TASK_ID"] == task["ID"] for each in self.comments))
        self.save()
        return Page(int(comment["ID"]))

    def _comment_list(self, params: dict[str, Any], user: str) -> Page:
        task_id = str(by_name(params, "taskid", ""))
        return Page([comment for comment in self.comments if comment["TASK_ID"] == task_id])

    def _result_list(self, params: dict[str, Any], user: str) -> Page:
        task_id = _task_id(params)
        if task_id not in self.tasks:
            raise PortalError(400, "0", "Access denied")
        return Page([result for result in reversed(self.results) if str(result["taskId"]) == task_id])

    def _result_add(self, params: dict[str, Any], user: str) -> Page:
        return Page(self.add_result(_task_id(params), str(by_name(params, "text") or ""), user))

    def add_result(self, task_id: str, text: str, user: str) -> dict[str, Any]:
        """What came of a task, as its performer wrote it down."""
        task = self.tasks.get(task_id)
        if task is None:
            raise PortalError(400, "0", "Access denied")
        moment = self.moment()
        result = {
            "id": len(self.results) + 1,
            "taskId": int(task_id),
            "commentId": 3000 + len(self.results),
            "createdBy": int(user),
            "createdAt": moment,
            "updatedAt": moment,
            "status": 0,
            "text": text,
            "formattedText": text,
            "files": [],
        }
        self.results.append(result)
        task["CHANGED_DATE"] = task["ACTIVITY_DATE"] = moment
        self.save()
        return result

    def seed(self, tasks: Iterable[dict[str, Any]], results: Iterable[tuple[str, str, str, str]]) -> None:
        """Tasks of people as a new portal holds them (TITLE form, with ID), and (task id, text, user, moment)."""
        for task in tasks:
            self.tasks[task["ID"]] = {**_new_task("1", task["CREATED_DATE"]), **task}
            self._last_id = max(self._last_id, int(task["ID"]))
        for number, (task_id, text, user, moment) in enumerate(results, start=1):
            self.results.append(
                {
                    "id": number,
                    "taskId": int(task_id),
                    "commentId": 3000 + number,
                    "createdBy": int(user),
                    "createdAt": moment,
                    "updatedAt": moment,
                    "status": 0,
                    "text": text,
                    "formattedText": text,
                    "files": [],
                }
            )
        self.save()

    # --- help ---

    def save(self) -> None:
        """Write the state beside itself and swap it in: a kill leaves the old or the new file, never half of one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = {"last_id": self._last_id, "tasks": list(self.tasks.values()), "comments": self.comments}
        state["results"] = self.results
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        fresh.write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2))
        fresh.replace(self._path)

    def _fields(self, params: dict[str, Any]) -> dict[str, Any]:
        fields = by_name(params, "fields")
        if not isinstance(fields, dict) or not fields:
            raise PortalError(400, "100", "Could not find value for parameter {fields} (internal error)")
        return {_snake(name): value for name, value in fields.items()}

    def _check(self, fields: dict[str, Any]) -> None:
        for name in ("RESPONSIBLE_ID", "CREATED_BY"):
            if name in fields and str(fields[name]) not in self._users:
                field = "Responsible" if name == "RESPONSIBLE_ID" else "Creator"
                raise PortalError(400, "ERROR_CORE", f'The user specified in the "{field}" field was not found<br>')
        if "STATUS" in fields and str(fields["STATUS"]) not in _STATUSES:
            raise PortalError(400, "ERROR_CORE", "Invalid status<br>")

    def _stored(self, fields: dict[str, Any]) -> dict[str, Any]:
        stored: dict[str, Any] = {}
        for name, value in fields.items():
            if name not in _WRITABLE:
                continue  # the real method ignores what it does not know
            if name in ("DEADLINE", "START_DATE_PLAN", "END_DATE_PLAN"):
                stored[name] = self._read_moment(value)
            elif isinstance(value, list):
                stored[name] = [str(item) for item in value]
            else:
                stored[name] = None if value is None else str(value)
        return stored

    def _read_moment(self, value: Any) -> str | None:
        """Any ISO moment, shown in the server's zone; without an offset it is the server's time."""
        with contextlib.suppress(TypeError, ValueError):
            parsed = datetime.fromisoformat(str(value))
            aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=self._zone)
            return aware.astimezone(self._zone).isoformat(timespec="seconds")
        return None

    def _existing(self, params: dict[str, Any]) -> dict[str, Any]:
        task = self.tasks.get(_task_id(params))
        if task is None:
            raise PortalError(400, "0", "Action on the task is not allowed")
        return task

    def _task_view(self, task: dict[str, Any], select: Any) -> dict[str, Any]:
        if isinstance(select, dict):
            select = list(select.values())
        wanted = {_snake(str(name)) for name in select} if select else set(task) - _ON_REQUEST
        if "*" in wanted:
            wanted |= set(task) - _ON_REQUEST
        view = {_camel(name): task[name] for name in task if name in wanted or name == "ID"}
        view["group"] = []
        if "STATUS" in wanted:
            view["subStatus"] = self._sub_status(task)
        for name, role in (("RESPONSIBLE_ID", "responsible"), ("CREATED_BY", "creator")):
            if name in wanted:
                view[role] = self._person(task[name])
        return view

    def _sub_status(self, task: dict[str, Any]) -> str:
        open_ = task["STATUS"] not in ("4", STATUS_DONE)
        late = task["DEADLINE"] and datetime.fromisoformat(task["DEADLINE"]) < self._now()
        return "-1" if open_ and late else str(task["STATUS"])

    def _person(self, user_id: str) -> dict[str, Any]:
        user = self._users.get(str(user_id))
        return {
            "id": str(user_id),
            "name": f"{user.name} {user.last_name}".strip() if user else "",
            "link": f"/company/personal/user/{user_id}/",
            "icon": "/bitrix/images/tasks/default_avatar.png",
            "workPosition": user.work_position if user else "",
        }

    def _task_fits(self, task: dict[str, Any], key: str, wanted: Any) -> bool:
        found = _FILTER_KEY.match(key)
        sign, name = (found[1] or "", found[2].upper()) if found else ("", key.upper())
        if name not in _FILTERS:
            return True  # an unknown condition is ignored by the real method
        if name == "TAG":
            return bool(set(_listed(wanted)) & set(task["TAGS"])) != sign.startswith("!")
        if name in ("ACCOMPLICE", "AUDITOR"):
            return bool(set(_listed(wanted)) & set(task[name + "S"])) != sign.startswith("!")
        if name == "STATUS":
            actual: Any = self._sub_status(task)
        else:
            actual = task.get("STATUS" if name == "REAL_STATUS" else name)
        if sign in _ORDERED:
            left, right = self._comparable(name, actual), self._comparable(name, wanted)
            return left is not None and right is not None and _ORDERED[sign](left, right)
        if "%" in sign:
            hit = str(wanted).strip("%").lower() in str(actual or "").lower()
        elif name in _MOMENTS and wanted not in ("", None, False):
            hit = self._comparable(name, actual) == self._comparable(name, wanted)
        else:
            hit = ("" if actual is None else str(actual)) in _listed(wanted)
        return hit != sign.startswith("!")

    def _comparable(self, name: str, value: Any) -> Any:
        if name in _MOMENTS:
            moment = self._read_moment(value)
            return datetime.fromisoformat(moment) if moment else None
        with contextlib.suppress(TypeError, ValueError):
            return int(value)
        return None


def _new_task(user: str, moment: str) -> dict[str, Any]:
    return {
        "PARENT_ID": None,
        "DESCRIPTION": "",
        "MARK": None,
        "PRIORITY": "1",
        "STATUS": STATUS_PENDING,
        "GROUP_ID": "0",
        "STAGE_ID": "0",
        "CREATED_BY": user,
        "CREATED_DATE": moment,
        "CHANGED_BY": user,
        "CHANGED_DATE": moment,
        "STATUS_CHANGED_BY": None,
        "STATUS_CHANGED_DATE": moment,
        "ACTIVITY_DATE": moment,
        "CLOSED_BY": None,
        "CLOSED_DATE": None,
        "DATE_START": None,
        "DEADLINE": None,
        "START_DATE_PLAN": None,
        "END_DATE_PLAN": None,
        "GUID": "{" + str(uuid.uuid4()) + "}",
        "XML_ID": None,
        "COMMENTS_COUNT": None,
        "ALLOW_CHANGE_DEADLINE": "N",
        "TASK_CONTROL": "N",
        "ADD_IN_REPORT": "N",
        "TIME_ESTIMATE": "0",
        "SITE_ID": "s1",
        "DESCRIPTION_IN_BBCODE": "Y",
        "ACCOMPLICES": [],
        "AUDITORS": [],
        "TAGS": [],
        "UF_CRM_TASK": [],
    }


def _task_id(params: dict[str, Any]) -> str:
    value = by_name(params, "taskId")
    if value is None:
        raise PortalError(400, "100", "CTaskItem All parameters in the constructor must have real class type")
    if not str(value).isdigit():
        raise PortalError(400, "0", "wrong task id")
    return str(value)


def _paged(rows: list[Any], params: dict[str, Any]) -> Page:
    """A page of 50 from `start`; start=-1 turns counting off and shows the first page."""
    try:
        start = int(by_name(params, "start", 0) or 0)
    except (TypeError, ValueError):
        start = 0
    if start < 0:
        return Page(rows[:PAGE], 0)
    following = start + PAGE
    return Page(rows[start:following], len(rows), following if following < len(rows) else None)


def _user_fits(row: dict[str, Any], key: str, wanted: Any) -> bool:
    found = _FILTER_KEY.match(key)
    sign, name = (found[1] or "", found[2].upper()) if found else ("", key.upper())
    if name not in row:
        return True
    actual = row[name]
    if name == "ACTIVE":
        return bool(actual) is (str(wanted).lower() in ("true", "1", "y"))
    if name == "UF_DEPARTMENT":
        return bool({str(item) for item in actual} & set(_listed(wanted)))
    text = str(actual).lower()
    wanted_texts = {item.lower() for item in _listed(wanted)}
    hit = any(item.strip("%") in text for item in wanted_texts) if "%" in sign else text in wanted_texts
    return hit != sign.startswith("!")


def _listed(wanted: Any) -> list[str]:
    items = wanted if isinstance(wanted, list) else list(wanted.values()) if isinstance(wanted, dict) else [wanted]
    return ["" if item is None or item is False else str(item) for item in items]


def _sort_key(task: dict[str, Any], name: str) -> tuple[bool, Any]:
    value = task.get("STATUS" if name in ("REAL_STATUS", "STATUS_COMPLETE") else name)
    if name in ("ID", "PRIORITY", "GROUP_ID", "TIME_ESTIMATE"):
        return (value is not None, int(value or 0))
    return (value is not None, str(value or ""))


def _snake(name: str) -> str:
    """Names come as TITLE or as camelCase; the state keeps TITLE."""
    return name if name.isupper() or name == "*" else re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def _camel(name: str) -> str:
    head, *rest = name.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)
