"""Sessions with one 1C base: few, kept while they are needed, given back when done.

A session of 1C takes a licence and seconds to begin. A base that honours `IBSession` keeps it between requests by a
cookie; another ignores the header and begins one for every request, which works as well.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

from clients.errors import ClientError
from clients.http import HttpSession, Response

log = logging.getLogger(__name__)

COOKIE = "ibsession"
_HEADER = "IBSession"
_SESSION_WORDS = re.compile("сеанс|session|seance", re.I)

Request = Callable[[HttpSession, dict[str, str]], Response]


class Seat:
    """One HTTP connection and, where the base keeps it, the 1C session behind it. Serves one request at a time."""

    def __init__(self, http: HttpSession) -> None:
        self.http = http
        self._session: Literal["unknown", "kept", "ignored"] = "unknown"

    def send(self, request: Request, *, last: bool = False) -> Response:
        """Send in the session of this seat; one that 1C has ended meanwhile is begun again.

        last: the session ends with this request, and none begins for it.
        """
        answer = request(self.http, self._headers(last))
        if self._session == "kept" and is_ended(answer):
            log.info("1C has ended the session, beginning another")
            self.http.forget_cookies()
            self._session = "unknown"
            answer = request(self.http, self._headers(last))
        if last and self._session == "kept":
            self.http.forget_cookies()
            self._session = "unknown"
        elif not last and self._session == "unknown" and answer.status == 200:
            self._session = "kept" if self.http.cookie(COOKIE) else "ignored"
        return answer

    @property
    def has_session(self) -> bool:
        """Whether 1C keeps a session for this seat."""
        return self._session == "kept"

    def leave(self, url: str) -> None:
        """Tell 1C that the session may end, by a small request of `url`; harmless when it does not listen."""
        if self._session == "kept":
            try:
                headers = {"Accept": "application/json", _HEADER: "finish"}
                self.http.request("GET", url, headers=headers, timeout=30)
            except ClientError as error:
                log.info("1C was not told that a session may end, it will end by itself: %s", error)
        self.http.close()

    def _headers(self, last: bool) -> dict[str, str]:
        if last:
            return {_HEADER: "finish"} if self._session == "kept" else {}
        return {_HEADER: "start"} if self._session == "unknown" else {}


class Seats:
    """The seats of one client: as many as requests run at once, fewer when 1C has no more sessions for us."""

    def __init__(self, connect: Callable[[], HttpSession]) -> None:
        self._connect = connect
        self._idle: list[Seat] = []
        self._taken = 0
        self._most: int | None = None
        self._changed = threading.Condition()

    def send(self, request: Request, *, last: bool = False) -> Response:
        """Send in a free seat; with the `last` request its session ends.

        When 1C has no session for one more of us, one of the others is waited for.
        """
        while True:
            with self._seat() as seat:
                answer = seat.send(request, last=last)
                if not (is_refused(answer) and self._make_do()):
                    return answer

    def close(
        self, url: str, slot: Callable[[], AbstractContextManager[object]] = nullcontext, *, but: int = 0
    ) -> None:
        """End every session that is not in use, but so many; `url` is a small request, entered by `slot` each."""
        with self._changed:
            self._idle.sort(key=lambda seat: not seat.has_session)
            self._idle, seats = self._idle[:but], self._idle[but:]
        if not seats:
            return

        def leave(seat: Seat) -> None:
            try:
                with slot() if seat.has_session else nullcontext():
                    seat.leave(url)
            except Exception as error:  # also of the limiter: nothing that was read is lost with a goodbye
                log.info("1C was not told that a session may end, it will end by itself: %s", error)
                seat.http.close()

        with ThreadPoolExecutor(len(seats), "goodbye") as pool:
            list(pool.map(leave, seats))

    def _make_do(self) -> bool:
        """One session less from now on; False when there is no other one than that which was refused."""
        with self._changed:
            others = self._taken + len(self._idle) - 1
            if others < 1:
                return False
            if self._most is None or others < self._most:
                log.warning("1C gives us no more than %s sessions at once", others)
                self._most = others
            return True

    def _free(self) -> Seat | None:
        """An idle seat, taken; rather one that has a session."""
        if not self._idle:
            return None
        self._idle.sort(key=lambda seat: seat.has_session)
        return self._idle.pop()

    @contextmanager
    def _seat(self) -> Iterator[Seat]:
        with self._changed:
            while not self._idle and self._most is not None and self._taken >= self._most:
                self._changed.wait()
            self._taken += 1
            seat = self._free() or Seat(self._connect())
        try:
            yield seat
        finally:
            with self._changed:
                self._taken -= 1
                if self._most is None or self._taken + len(self._idle) < self._most:
                    self._idle.append(seat)
                else:
                    seat.http.close()
                self._changed.notify()


def is_ended(answer: Response) -> bool:
    """Whether the answer means that the session of our cookie is over (and not that the request was wrong)."""
    return answer.status in (400, 404, 500) and _speaks_of_sessions(answer)


def is_refused(answer: Response) -> bool:
    """Whether 1C has no free session or licence for one more of us."""
    return answer.status == 406 or (answer.status == 403 and _speaks_of_sessions(answer))


def _speaks_of_sessions(answer: Response) -> bool:
    return bool(_SESSION_WORDS.search(answer.body[:4096].decode("utf-8-sig", "replace")))
