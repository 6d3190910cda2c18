"""Predictions by a service that never sees the rows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from . import _native
from ._model import OnError, noted
from ._progress import Progress, telling
from ._tables import Frame, Rows, kind_of, names_of, native
from .errors import ArgumentError, ServiceError

# Access key, secret key and session token or None; or a session of boto3 or botocore.
Credentials: TypeAlias = Any
_T = TypeVar("_T")


class Client:
    """A service at an address, and the keys that rows are encrypted under.

    Parameters
    ----------
    url
        ``https://HOST``, or ``http`` on this machine.
    keys
        Folder of the key ring. Keys are made there when a model first needs them, registered with the service once, and used again
        by every later client. The secret key in it never leaves it: who has the folder can decrypt the answers.
    token
        Bearer token; otherwise the variable ``CIPHERFN_TOKEN``.
    credentials
        For AWS signatures: a session of boto3 or botocore, or (access key, secret key, session token or ``None``). Without token and
        credentials those that boto3 finds, and nothing for a service on this machine.
    region
        AWS region of the API, where its address does not tell it.
    trust
        The developer's public key, or the specs' hash: specs of a model must be that developer's, or these. Otherwise those that came
        first, and newer ones of the same developer. ``"offered"`` takes what the service has, once.
    attempts
        Attempts of each request in all; waits between them grow.
    timeout
        Seconds for one attempt of a request.
    in_flight
        Requests under way at a time.
    rows_a_request
        Most rows of one request; otherwise as many as fit.
    cache
        Folder for specs, which are then transferred only when they have changed.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:9000", keys="keys")
    >>> client
    Client('http://127.0.0.1:9000', keys='keys')
    """

    def __init__(
        self,
        url: str,
        *,
        keys: str | os.PathLike[str],
        token: str | None = None,
        credentials: Credentials = None,
        region: str | None = None,
        trust: str | None = None,
        attempts: int = 6,
        timeout: float = 120.0,
        in_flight: int = 4,
        rows_a_request: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._folder = os.fspath(keys)
        if token is None and credentials is None:
            token = os.environ.get("CIPHERFN_TOKEN") or None
        is_local = re.match(r"http://(127\.|localhost\b|\[::1\])", url)
        if token is None and credentials is None and not is_local:
            credentials = _found_session()
        settings = {
            "token": token,
            "credentials": None if credentials is None else _provider(credentials),
            "region": region or (None if ".execute-api." in url else getattr(credentials, "region_name", None)),
            "trust": trust,
            "attempts": attempts,
            "timeout": timeout,
            "in_flight": in_flight,
            "rows_a_request": rows_a_request,
            "cache": None if cache is None else os.fspath(cache),
        }
        self._service = _native.Service(url, self._folder, settings)
        # Models whose keys are registered, as far as this object knows.
        self._ready: dict[str, _native.ModelClient] = {}

    def __repr__(self) -> str:
        return f"Client({self.url!r}, keys={self._folder!r})"

    def models(self) -> list[dict[str, Any]]:
        """The models that the service has."""
        with telling(False) as tell:
            found: list[dict[str, Any]] = json.loads(self._service.models(tell))["models"]
            return found

    def keys(self) -> list[dict[str, Any]]:
        """The evaluation keys that you have registered: id, parameter set, parts and when they expire."""
        with telling(False) as tell:
            found: list[dict[str, Any]] = json.loads(self._service.keys(tell))["keys"]
            return found

    def delete_key(self, key: str) -> None:
        """Deletes an evaluation key from the service; the keys in the folder stay."""
        self._ready.clear()
        with telling(False) as tell:
            self._service.delete_key(key, tell)

    def frames(self) -> list[dict[str, Any]]:
        """The encrypted frames that the service keeps for you: id, name, rows, key, bytes and when they expire."""
        with telling(False) as tell:
            found: list[dict[str, Any]] = json.loads(_native.list_frames(self._service, tell))["frames"]
            return found

    def delete_frame(self, frame: str) -> None:
        """Deletes a frame from the service, by its id."""
        with telling(False) as tell:
            _native.delete_frame(self._service, frame, tell)

    def register(self, model: str, *, progress: Progress = False) -> None:
        """Makes the keys that a model needs and registers what the service lacks of them: once, before the first prediction."""
        self._register(model, progress, _native.Stop())

    def columns(self, model: str) -> list[tuple[str, str]]:
        """Names and types of the columns that a model's rows need."""
        with telling(False) as tell:
            specs = self._service.fetch(model, tell=tell)
        return [(name, kind) for name, kind, _ in specs.columns]

    def predict(self, model: str, rows: Rows, *, on_error: OnError = "raise", progress: Progress = False) -> Frame:
        """Encrypts rows, sends them and decrypts the answers, in the order of the rows.

        Keys are made and registered when they are needed. Gives a table of the library that ``rows`` is of (a dictionary of arrays for
        arrays) with a row a row: ``label`` and ``probability_CLASS`` of a classifier, ``prediction`` of a regressor. Where rows have no prediction,
        `RowsError` has those of the others; with ``on_error="mark"`` they are missing and a column ``error`` says why.
        """
        return self._predict(model, rows, on_error, progress, _native.Stop())

    def submit(
        self,
        model: str,
        rows: Rows,
        *,
        manifest: str | os.PathLike[str],
        rows_a_chunk: int | None = None,
        on_error: OnError = "raise",
        progress: Progress = False,
    ) -> Job:
        """Scores a large table as jobs, beside the caller; `Job.result` has what `predict` would give.

        ``rows`` is read twice: give a table, or a function that gives it anew, such as ``lambda: pyarrow.dataset.dataset("rows/").scanner()``.
        ``manifest`` is a file that remembers what has arrived: the same call after a stop goes on there. It is removed at the end.
        """
        return Job(lambda stop: self._bulk(model, rows, os.fspath(manifest), rows_a_chunk, (on_error, progress), stop))

    def _register(self, model: str, progress: Progress, stop: _native.Stop, again: bool = False) -> _native.ModelClient:
        with telling(progress, unit="bytes") as tell:
            specs = self._service.fetch(model, again, tell, stop)
            ready = self._ready.get(model)
            if ready is None or ready.specs_hash != specs.specs_hash:
                self._service.register(specs, tell, stop)
        self._ready[model] = specs
        return specs

    def _predict(self, model: str, rows: Rows, on_error: OnError, progress: Progress, stop: _native.Stop) -> Frame:
        # What was published anew between specs and rows is asked for again, once.
        for again in (False, True):
            specs = self._register(model, False, stop, again)
            table = native(rows, [name for name, _, _ in specs.columns])
            with telling(progress, rows) as tell:
                predictions = self._service.predict(model, specs, table, tell, stop)
            if predictions is not None:
                return noted(predictions, rows, on_error)
        raise ServiceError(f"model {model} was published anew twice meanwhile", remedy="call it again")

    def _bulk(
        self, model: str, rows: Rows, manifest: str, rows_a_chunk: int | None, how: tuple[OnError, Progress], stop: _native.Stop
    ) -> Frame:
        specs = self._register(model, False, stop)
        names = [name for name, _, _ in specs.columns]
        again: Callable[[], Rows] = rows if callable(rows) else lambda: rows
        like = again()
        table = hashlib.sha256(json.dumps([kind_of(like), names_of(like)]).encode()).hexdigest()
        on_error, progress = how
        with telling(progress, like) as tell:
            predictions = self._service.bulk(
                model, specs, lambda: native(again(), names), manifest, table, rows_a_chunk, tell, stop
            )
        return noted(predictions, like, on_error)


class Job:
    """A table that is scored beside the caller."""

    def __init__(self, work: Callable[[_native.Stop], Frame]) -> None:
        self._stop = _native.Stop()
        self._future: Future[Frame] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name="cipherfn-job", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[_native.Stop], Frame]) -> None:
        try:
            self._future.set_result(work(self._stop))
        except BaseException as error:  # noqa: BLE001: raised where the result is asked for
            self._future.set_exception(error)

    def done(self) -> bool:
        """Whether it has ended, with a result or an exception."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> Frame:
        """The predictions; waits for them, ``timeout`` seconds at most."""
        return self._future.result(timeout)

    def stop(self) -> None:
        """Ends it; what has arrived is remembered in its manifest."""
        self._stop.stop()


class AsyncClient:
    """`Client` for asyncio: the same arguments and methods, awaited. A cancelled call ends its requests.

    >>> async def score(df):
    ...     client = AsyncClient("http://127.0.0.1:9000", keys="keys")
    ...     return await client.predict("fraud", df)
    """

    def __init__(self, url: str, *, keys: str | os.PathLike[str], **settings: Any) -> None:
        self._client = Client(url, keys=keys, **settings)

    async def models(self) -> list[dict[str, Any]]:
        """The models that the service has."""
        import asyncio

        return await asyncio.to_thread(self._client.models)

    async def register(self, model: str, *, progress: Progress = False) -> None:
        """Makes and registers the keys that a model needs."""
        await _stopping(lambda stop: self._client._register(model, progress, stop))

    async def predict(self, model: str, rows: Rows, *, on_error: OnError = "raise", progress: Progress = False) -> Frame:
        """As `Client.predict`."""
        return await _stopping(lambda stop: self._client._predict(model, rows, on_error, progress, stop))

    async def submit(
        self, model: str, rows: Rows, *, manifest: str | os.PathLike[str], rows_a_chunk: int | None = None,
        on_error: OnError = "raise", progress: Progress = False,
    ) -> Frame:
        """Scores a large table as jobs, as `Client.submit`, and gives its predictions."""
        how = (on_error, progress)
        return await _stopping(lambda stop: self._client._bulk(model, rows, os.fspath(manifest), rows_a_chunk, how, stop))


async def _stopping(work: Callable[[_native.Stop], _T]) -> _T:
    """Work on a thread, which ends when the task is cancelled."""
    import asyncio  # half of what this package would take to import

    stop = _native.Stop()
    try:
        return await asyncio.to_thread(work, stop)
    except asyncio.CancelledError:
        stop.stop()
        raise


def _found_session() -> Credentials:
    try:
        import boto3
    except ImportError:
        raise ArgumentError(
            "this service asks who is calling: there is no token, and boto3, which finds AWS credentials, is not installed",
            remedy='token=..., credentials=(access key, secret key, None), or pip install "cipherfn[aws]"',
        ) from None
    session = boto3.Session()
    if session.get_credentials() is None:
        raise ArgumentError(
            "there is no token, and boto3 finds no AWS credentials to sign with",
            remedy="token=..., the variable CIPHERFN_TOKEN, or `aws configure`",
        )
    return session


def _provider(credentials: Credentials) -> Callable[[], tuple[str, str, str | None]]:
    if hasattr(credentials, "get_credentials"):

        def fresh() -> tuple[str, str, str | None]:
            now = credentials.get_credentials().get_frozen_credentials()
            return now.access_key, now.secret_key, now.token

        return fresh
    if isinstance(credentials, Sequence) and len(credentials) in (2, 3):
        access, secret, token = (*credentials, None)[:3]
        return lambda: (access, secret, token)
    raise ArgumentError("credentials are a session of boto3, or (access key, secret key, session token or None)")
