"""What can go wrong with another system, told apart by what the caller may do about it.

Retriable   nothing happened at the other side, or doing it again is harmless: try again later.
Fatal       trying again cannot help; the message says in plain words what a person has to do.
Unknown     the request left and the answer did not come: the work may or may not be done; look it up, do not repeat it.
"""


class ClientError(Exception):
    """Base of everything a client raises. Messages never hold secrets or personal data.

    status: HTTP or SMTP status when there was one. code: the other system's own error code.
    cause: one word for programs that choose their own sentence (`login`, `unknown_host`, ...), where it is known.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, cause: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.cause = cause


class Retriable(ClientError):
    """Safe to repeat. `retry_after` is the pause in seconds that the other side asked for."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        cause: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, cause=cause)
        self.retry_after = retry_after


class NotNow(Retriable):
    """It was agreed that the other side is left alone at this time; `retry_after` is the time until it may be asked."""


class TimedOut(Retriable):
    """A harmless request got no complete answer in time."""


class TooLarge(Retriable):
    """The other side could not build so large an answer: ask for less at a time."""


class Fatal(ClientError):
    """Repeating cannot help; a person has to change something."""


class Unknown(ClientError):
    """The request may have been carried out; only a look-up can tell."""
