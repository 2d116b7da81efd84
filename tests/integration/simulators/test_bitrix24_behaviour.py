"""The portal keeps to what is documented and recorded of the real one."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from simulators.bitrix24 import WEBHOOK_CODE, Fault, Limits, build_app
from tests.support.delivery import NO_LIMITS, employees, running_portal


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """Calls methods of an application in this process."""

    def __init__(self, state: Path, **options: Any) -> None:
        self.http = TestClient(build_app(state, employees(), **{"limits": NO_LIMITS, **options}))

    def __call__(self, method: str, params: dict[str, Any] | None = None, code: str = WEBHOOK_CODE) -> tuple[int, Any]:
        answer = self.http.post(f"/rest/1/{code}/{method}", json=params or {})
        return answer.status_code, answer.json()


@pytest.fixture
def call(tmp_path: Path) -> Caller:
    return Caller(tmp_path / "portal.json")


def add(call: Caller, **fields: Any) -> str:
    status, body = call("tasks.task.add", {"fields": {"TITLE": "t", "RESPONSIBLE_ID": 11, **fields}})
    assert status == 200, body
    return str(body["result"]["task"]["id"])


def test_a_wrong_code_is_refused(call: Caller) -> None:
    assert call("profile", code="wrong") == (
        401,
        {"error": "NO_AUTH_FOUND", "error_description": "Wrong authorization data"},
    )


@pytest.mark.parametrize(
    ("method", "params", "status", "code"),
    [
        ("no.such.method", {}, 404, "ERROR_METHOD_NOT_FOUND"),
        ("tasks.task.add", {}, 400, "100"),
        ("tasks.task.add", {"fields": {"RESPONSIBLE_ID": 11}}, 400, "ERROR_CORE"),
        ("tasks.task.add", {"fields": {"TITLE": "t", "RESPONSIBLE_ID": 77}}, 400, "ERROR_CORE"),
        ("tasks.task.list", {"order": {"NONSENSE": "asc"}}, 400, "0"),
        ("tasks.task.get", {"taskId": "abc"}, 400, "0"),
        ("tasks.task.complete", {"taskId": 5}, 400, "0"),
        ("task.commentitem.add", {"TASKID": 1, "FIELDS": {}}, 400, "ERROR_CORE"),
        ("batch", {"cmd": {str(n): "profile" for n in range(51)}}, 400, "ERROR_BATCH_LENGTH_EXCEEDED"),
    ],
)
def test_errors_have_their_status_and_code(
    call: Caller, method: str, params: dict[str, Any], status: int, code: str
) -> None:
    answered, body = call(method, params)
    assert (answered, body["error"]) == (status, code)


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 150, 151])
def test_paging_is_complete_and_ends_without_next(call: Caller, count: int) -> None:
    for _ in range(count):
        add(call)
    seen: list[str] = []
    start: int | None = 0
    while start is not None:
        _, body = call("tasks.task.list.json", {"order": {"ID": "asc"}, "select": ["ID"], "start": start})
        assert body["total"] == count
        seen += [task["id"] for task in body["result"]["tasks"]]
        start = body.get("next")
    assert seen == [str(n) for n in range(1, count + 1)]


def test_without_counting_there_is_no_next(call: Caller) -> None:
    for _ in range(60):
        add(call)
    _, body = call("tasks.task.list", {"start": -1})
    assert len(body["result"]["tasks"]) == 50
    assert body["total"] == 0
    assert "next" not in body


def test_a_selected_task_has_the_keys_of_a_recorded_one(call: Caller, shared_dir: Path) -> None:
    sample = shared_dir / "samples" / "bitrix24" / "fast_bitrix24_real_responses" / "get_all_tasks.json"
    recorded = json.loads(sample.read_text(encoding="utf-8"))["response"][0]
    add(call)
    _, body = call("tasks.task.list", {"select": ["ID", "STATUS"]})
    assert set(body["result"]["tasks"][0]) == set(recorded["result"]["tasks"][0])
    assert set(body) | {"next"} == set(recorded)
    assert set(recorded["time"]) <= set(body["time"])


def test_a_new_task_has_only_documented_keys(call: Caller, shared_dir: Path) -> None:
    sample = shared_dir / "samples" / "bitrix24" / "docs_examples" / "tasks__tasks-task-add.json"
    documented = json.loads(sample.read_text(encoding="utf-8"))["examples"][0]["result"]["task"]
    _, body = call("tasks.task.add", {"fields": {"TITLE": "t", "RESPONSIBLE_ID": 11}})
    task = body["result"]["task"]
    assert set(task) - {"subStatus"} <= set(documented)
    assert {name: type(task[name]) for name in ("id", "status", "responsibleId", "createdBy")} == {
        "id": str,
        "status": str,
        "responsibleId": str,
        "createdBy": str,
    }


def test_a_batch_is_as_recorded(call: Caller, shared_dir: Path) -> None:
    """Errors of some commands, PHP's empty arrays, numeric keys as a list."""
    folder = shared_dir / "samples" / "bitrix24" / "fast_bitrix24_real_responses"
    both = json.loads((folder / "crm_get_batch_of_two_error.json").read_text(encoding="utf-8"))["response"]["result"]
    add(call)
    _, body = call("batch", {"halt": 0, "cmd": ["tasks.task.get?taskId=x", "tasks.task.complete?taskId=9"]})
    assert set(body["result"]) == set(both)
    assert body["result"]["result"] == both["result"] == []
    assert isinstance(body["result"]["result_error"], list)
    _, mixed = call("batch", {"cmd": {"good": "tasks.task.get?taskId=1&select[]=ID", "bad": "tasks.task.get?taskId=x"}})
    assert mixed["result"]["result"] == {"good": {"task": {"id": "1", "group": []}}}
    assert mixed["result"]["result_error"] == {"bad": {"error": "0", "error_description": "wrong task id"}}
    assert mixed["result"]["result_next"] == []


def test_a_batch_can_refer_to_earlier_results_and_halt(call: Caller) -> None:
    _, body = call(
        "batch",
        {
            "halt": 1,
            "cmd": {
                "user": "user.get?FILTER[EMAIL]=orlova@distributor.example",
                "task": "tasks.task.add?fields[TITLE]=x&fields[RESPONSIBLE_ID]=$result[user][0][ID]",
                "bad": "batch?cmd[a]=profile",
                "never": "profile",
            },
        },
    )
    result = body["result"]
    assert result["result"]["task"]["task"]["responsibleId"] == "12"
    assert result["result_error"]["bad"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert "never" not in result["result"]


def test_the_bucket_drains_two_a_second_and_blocks_above_fifty(tmp_path: Path) -> None:
    clock = Clock()
    call = Caller(tmp_path / "portal.json", limits=Limits(), clock=clock)
    assert [call("profile")[0] for _ in range(52)] == [200] * 50 + [503, 503]
    assert call("profile")[1]["error"] == "QUERY_LIMIT_EXCEEDED"
    clock.now += 1.0
    assert [call("profile")[0] for _ in range(3)] == [200, 200, 503]
    clock.now += 25.0
    assert [call("profile")[0] for _ in range(51)] == [200] * 50 + [503]


def test_the_working_time_of_a_method_is_limited_over_ten_minutes(tmp_path: Path) -> None:
    clock = Clock()
    limits = Limits(10_000, 100_000, operating_seconds=480, operating_cost=(("tasks.task.list", 200.0),))
    call = Caller(tmp_path / "portal.json", limits=limits, clock=clock)
    statuses = []
    for _ in range(4):
        statuses.append(call("tasks.task.list")[0])
        clock.now += 61
    assert statuses == [200, 200, 200, 429]
    assert call("profile")[0] == 200
    status, body = call("tasks.task.list")
    assert (status, body["error"]) == (429, "OPERATION_TIME_LIMIT")
    clock.now += 600 - 5 * 61 + 62
    assert call("tasks.task.list")[0] == 200


def test_tasks_survive_a_restart(tmp_path: Path) -> None:
    first = Caller(tmp_path / "portal.json")
    task_id = add(first, XML_ID="key", DEADLINE="2025-06-10T15:00:00+00:00")
    first("task.commentitem.add", {"TASKID": task_id, "FIELDS": {"POST_MESSAGE": "слово"}})
    again = Caller(tmp_path / "portal.json")
    [task] = again.http.get("/_control/tasks").json()
    assert (task["XML_ID"], task["DEADLINE"], task["comments"]) == ("key", "2025-06-10T18:00:00+03:00", ["слово"])
    assert int(add(again)) == int(task_id) + 1


def test_a_timeout_after_acting_has_acted_and_one_before_has_not(tmp_path: Path) -> None:
    with running_portal(tmp_path / "portal.json") as portal:
        for kind, there in (("timeout_after_acting", 1), ("timeout_before_acting", 1), ("reset_after_acting", 2)):
            portal.plan(Fault(kind, "tasks.task.add", seconds=1.0))  # type: ignore[arg-type]
            with pytest.raises(requests.RequestException):
                requests.post(
                    f"{portal.url}tasks.task.add", json={"fields": {"TITLE": kind, "RESPONSIBLE_ID": 11}}, timeout=0.4
                )
            assert len(portal.tasks()) == there


def test_faults_count_skip_and_end(call: Caller) -> None:
    plan = [{"kind": "overload", "method": "profile", "skip": 1, "times": 2}]
    assert call.http.post("/_control/faults", json=plan).status_code == 200
    assert [call("profile")[0] for _ in range(5)] == [200, 503, 503, 200, 200]
    assert call.http.post("/_control/faults", json=[{"kind": "nonsense"}]).status_code == 400
