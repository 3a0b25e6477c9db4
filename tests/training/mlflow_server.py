"""The other side of the MLflow logger: a server that speaks the few endpoints of MLflow's REST API 2.0 and remembers.

Written from what a real `mlflow server` 3.17 answers; as strict as that one where it matters (parameters never change).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NO_RUN = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No such experiment."}


class Tracking:
    """What the server knows, and how it is told to behave."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}
        self.headers: list[dict[str, str]] = []
        self.answers_with: int | None = None  # a status that it answers everything with
        self.address = ""

    def handle(self, call: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match call:
            case "experiments/get-by-name":
                known = self.experiments.get(query["experiment_name"])
                return (200, {"experiment": {"experiment_id": known}}) if known else (404, NO_RUN)
            case "experiments/create":
                self.experiments[body["name"]] = str(len(self.experiments) + 1)
                return 200, {"experiment_id": self.experiments[body["name"]]}
            case "runs/search":
                tag, value = re.fullmatch(r"tags\.`(.+)` = '(.+)'", body["filter"]).groups()  # type: ignore[union-attr]
                return 200, {"runs": [run for run in self.runs.values() if run["tags"].get(tag) == value]}
            case "runs/create":
                return 200, {"run": self.create(body)}
        run = self.runs[body["run_id"]]
        if call == "runs/update":
            run["info"] |= body
        assert len(body.get("metrics", [])) <= 1000
        assert len(body.get("params", [])) <= 100
        for param in body.get("params", []):
            if run["params"].setdefault(param["key"], param["value"]) != param["value"]:
                return 400, {
                    "error_code": "INVALID_PARAMETER_VALUE",
                    "message": "Changing param values is not allowed.",
                }
        run["tags"] |= {tag["key"]: tag["value"] for tag in body.get("tags", [])}
        run["metrics"] += [(m["key"], m["step"], m["value"]) for m in body.get("metrics", [])]
        return 200, {}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        number = f"r{len(self.runs) + 1}"
        place = f"mlflow-artifacts:/{body['experiment_id']}/{number}/artifacts"
        info = {"run_id": number, "run_name": body["run_name"], "artifact_uri": place, "status": "RUNNING"}
        tags = {tag["key"]: tag["value"] for tag in body["tags"]}
        self.runs[number] = {"info": info, "tags": tags, "params": {}, "metrics": []}
        return self.runs[number]


@contextmanager
def tracking(port: int = 0) -> Iterator[Tracking]:
    known = Tracking()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known.headers.append(dict(self.headers))
            if known.answers_with:
                return self.answer(known.answers_with, {"error_code": "ODD", "message": "Not now."})
            if self.command == "PUT":
                known.files[parts.path.removeprefix("/api/2.0/mlflow-artifacts/artifacts/")] = content.decode()
                return self.answer(200, {})
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            call = parts.path.removeprefix("/api/2.0/mlflow/")
            return self.answer(*known.handle(call, query, json.loads(content or b"{}")))

        do_GET = do_PUT = do_POST

        def answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{known.address}/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    known.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
