"""Steps on the console: what is being done, a spinner where there is a terminal, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status


class Step:
    """Handle inside `Steps.step`: `doing` is shown while it lasts, `done` stays on the finished line."""

    def __init__(self, name: str, status: Status) -> None:
        self._name = name
        self._status = status
        self.result = ""

    def doing(self, detail: str) -> None:
        self._status.update(f"{self._name}: {detail}")

    def done(self, result: str) -> None:
        self.result = result


class Steps:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        started = time.monotonic()
        with self._console.status(name) as status:
            step = Step(name, status)
            try:
                yield step
            except BaseException:
                self._line("[red]✗[/red]", name, started, "")
                raise
        self._line("[green]✓[/green]", name, started, step.result)

    def total_seconds(self) -> float:
        return time.monotonic() - self._started

    def _line(self, mark: str, name: str, started: float, result: str) -> None:
        text = f"{mark} {name:<34}{time.monotonic() - started:7.1f} s  [dim]{result}[/dim]"
        self._console.print(text.rstrip(), highlight=False, soft_wrap=True)
