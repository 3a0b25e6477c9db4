"""MLflow: a run on the tracking server named by MLFLOW_TRACKING_URI, by its REST API 2.0. Needs no package.

An attempt after the first goes on in the same MLflow run, which is found by a tag. A server that is away is asked again
every few seconds while the newest numbers wait.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from typing import Any

from training.loggers.hearing import Message, Trouble, as_text, facts, final_numbers, main, say, trouble

TIMEOUT, AGAIN = 5.0, 5.0  # seconds
WAITING, AT_ONCE, SAMPLES = 20_000, 1000, 1000
LONGEST_PARAM, LONGEST_TAG = 6000, 5000
STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED", "queued": "SCHEDULED", "lost": "RUNNING"}
TAG = "feinschliff.id"


class Away(Exception):
    """The server cannot be reached now."""


class Refused(Exception):
    """The server understood, and said no."""

    def __init__(self, status: int, code: str, said: str) -> None:
        self.status, self.code = status, code
        super().__init__(said)


class MLflow:
    def __init__(self) -> None:
        self._server = Server(os.environ["MLFLOW_TRACKING_URI"])
        self._metrics: deque[dict[str, Any]] = deque(maxlen=WAITING)
        self._samples: deque[Message] = deque(maxlen=SAMPLES)
        self._run: dict[str, Any] = {}
        self._step, self._lost, self._again_at, self._told = 0, 0, 0.0, False

    def begin(self, about: Message) -> None:
        self._about = about
        self._send()

    def hear(self, messages: list[Message]) -> None:
        for message in messages:
            self._step = max(self._step, message["step"])
            if message["type"] == "sample":
                self._samples.append(message)
            else:
                self._wait(message["values"], message["step"], message["at"])
        self._send()

    def end(self, message: Message) -> None:
        self._wait(final_numbers(message), self._step, message["at"])
        self._again_at = 0.0
        if not self._send():
            raise Trouble(f"{self._server.shown} could not be reached at the end; it misses the last numbers")
        self._send_end(message)
        if self._lost:
            trouble(f"{self._lost} numbers were dropped while the server was away")

    def _wait(self, values: dict[str, float], step: int, at: float) -> None:
        for name, value in values.items():
            self._lost += len(self._metrics) == WAITING
            self._metrics.append({"key": _key(name), "value": value, "timestamp": round(at * 1000), "step": step})

    def _send(self) -> bool:
        """Everything that waits; False when the server is away."""
        if time.monotonic() < self._again_at:
            return False
        try:
            if not self._run:
                self._open()
            while self._metrics:
                batch = [self._metrics[n] for n in range(min(AT_ONCE, len(self._metrics)))]
                self._server.post("runs/log-batch", run_id=self._run["info"]["run_id"], metrics=batch)
                for _ in batch:
                    self._metrics.popleft()
        except Away as wrong:
            if not self._told:
                trouble(f"{wrong}; it is tried again")
            self._told, self._again_at = True, time.monotonic() + AGAIN
            return False
        except Refused as wrong:
            raise Trouble(f"{self._server.shown} refuses: {wrong}") from None
        return True

    def _open(self) -> None:
        """The MLflow run of the attempt before, or a new one; with all that is known of it."""
        about = self._about
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or about["project"])
        where = f"tags.`{TAG}` = '{about['id']}'"
        found = self._server.post("runs/search", experiment_ids=[experiment], filter=where, max_results=1)
        now = round(about["at"] * 1000)
        if found.get("runs"):
            run = found["runs"][0]
            self._server.post("runs/update", run_id=run["info"]["run_id"], status="RUNNING")
        else:
            tags = [{"key": TAG, "value": about["id"]}, {"key": "mlflow.source.name", "value": "feinschliff"}]
            made = self._server.post(
                "runs/create", experiment_id=experiment, run_name=about["name"], start_time=now, tags=tags
            )
            run = made["run"]
        self._tell(run, facts(about), {"feinschliff.attempt": str(about["attempt"])})
        self._run = run
        say(f"{self._server.shown}/#/experiments/{experiment}/runs/{run['info']['run_id']}")

    def _tell(self, run: dict[str, Any], params: dict[str, Any], tags: dict[str, str]) -> None:
        """Parameters, which may be said again but not changed, and tags."""
        told = [{"key": _key(name), "value": str(value)[:LONGEST_PARAM]} for name, value in params.items()]
        noted = [{"key": name, "value": value[:LONGEST_TAG]} for name, value in tags.items()]
        for start in range(0, max(len(told), 1), 100):
            self._server.post(
                "runs/log-batch", run_id=run["info"]["run_id"], params=told[start : start + 100], tags=noted
            )

    def _experiment(self, name: str) -> str:
        try:
            found = self._server.get("experiments/get-by-name", experiment_name=name)
            return str(found["experiment"]["experiment_id"])
        except Refused as wrong:
            if wrong.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            return str(self._server.post("experiments/create", name=name)["experiment_id"])
        except Refused as wrong:
            if wrong.code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self._experiment(name)  # another run was quicker

    def _send_end(self, message: Message) -> None:
        tags = {f"version.{_key(name)}": str(value) for name, value in (message.get("versions") or {}).items()}
        tags |= {"feinschliff.state": message["state"]}
        if message.get("error"):
            tags["feinschliff.error"] = message["error"]
        run, state = self._run["info"], message["state"]
        ended = {} if state in ("queued", "lost") else {"end_time": round(message["at"] * 1000)}
        try:
            self._tell(self._run, {}, tags)
            self._server.post("runs/update", run_id=run["run_id"], status=STATUS[state], **ended)
            self._send_samples(run["artifact_uri"])
        except (Away, Refused) as wrong:
            raise Trouble(f"its end could not be told in full: {wrong}") from None

    def _send_samples(self, place: str) -> None:
        """As a file of the run, where the server takes files for its clients."""
        path = place.removeprefix("mlflow-artifacts:/")
        if not self._samples or path == place or path.startswith("/"):
            return
        lines = [
            json.dumps(
                {"step": one["step"], "prompt": as_text(one["prompt"]), "text": one["text"], **one["values"]},
                ensure_ascii=False,
            )
            for one in self._samples
        ]
        name = f"{path}/samples-of-attempt-{self._about['attempt']}.jsonl"
        self._server.put(name, "\n".join(lines).encode("utf-8", "replace"))


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Credentials go to the server that was named, and to no other."""

    def redirect_request(self, *_anything: Any) -> None:  # noqa: ANN401
        return None


class Server:
    """The few calls of MLflow's REST API that are needed."""

    def __init__(self, uri: str) -> None:
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Trouble("MLFLOW_TRACKING_URI must be the http(s) address of a tracking server")
        where = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
        where += f":{parts.port}" if parts.port else ""
        self.shown = f"{parts.scheme}://{where}{parts.path.rstrip('/')}"
        user, password = parts.username, parts.password
        user, password = (
            os.environ.get("MLFLOW_TRACKING_USERNAME", user),
            os.environ.get("MLFLOW_TRACKING_PASSWORD", password),
        )
        self._headers = {"Content-Type": "application/json", "User-Agent": "feinschliff"}
        if user:
            pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            self._headers["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(NoRedirect)

    def post(self, call: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401
        return self._ask("POST", f"mlflow/{call}", json.dumps(body).encode())

    def get(self, call: str, **query: str) -> dict[str, Any]:
        return self._ask("GET", f"mlflow/{call}?{urllib.parse.urlencode(query)}", None)

    def put(self, path: str, content: bytes) -> None:
        self._ask("PUT", f"mlflow-artifacts/artifacts/{urllib.parse.quote(path)}", content)

    def _ask(self, method: str, call: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - http(s), checked above
            f"{self.shown}/api/2.0/{call}", data=body, headers=self._headers, method=method
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as wrong:
            raise _refusal(self.shown, wrong) from None
        except (OSError, ValueError) as wrong:
            reason = getattr(wrong, "reason", None) or wrong
            raise Away(f"{self.shown} does not answer as MLflow does ({reason})") from None


def _refusal(shown: str, wrong: urllib.error.HTTPError) -> Exception:
    try:
        said = json.loads(wrong.read(1 << 16))
        code, text = str(said.get("error_code", "")), str(said.get("message", ""))
    except (OSError, ValueError, AttributeError):
        code, text = "", ""
    if wrong.code >= 500 or wrong.code == 429:
        return Away(f"{shown} answers {wrong.code} {text or wrong.reason}")
    return Refused(wrong.code, code, f"{wrong.code} {text or wrong.reason}")


def _key(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w./ :-]", "_", name, flags=re.ASCII)[:250] or "_"


if __name__ == "__main__":
    main(MLflow)
