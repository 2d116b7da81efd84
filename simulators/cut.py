"""Answers that do not come: the connection is cut as a dying server cuts it."""

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_KEY = "simulator.send"


class CuttingApp(Starlette):
    """An application whose handlers may answer with `CutConnection`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[_KEY] = send
        await super().__call__(scope, receive, send)


class CutConnection(Response):
    """Answers nothing: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(scope.get(_KEY), "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
            return
        # Behind another application the transport is out of reach: promise a body and do not send it.
        headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionAbortedError("cut by the fault plan")
