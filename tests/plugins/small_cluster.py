"""A cluster small enough for every test run: the part of Ray's Jobs API that we use, over real HTTP, with real processes.

It answers as Ray 2.60 does (checked against a real one by the slow tests of test_ray_launcher).
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "only-for-tests"


class SmallCluster:
    """Jobs by name. `token` "" lets everybody in."""

    def __init__(self, folder: Path, token: str = TOKEN, path: str = "") -> None:
        self.folder, self.token, self.path = folder, token, path
        self.jobs: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.asked: list[tuple[str, str, str]] = []  # method, path, token
        self.submitted: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        for process in self.processes.values():
            process.kill()
            process.wait()

    def start(self, job: dict[str, Any]) -> None:
        name = job["submission_id"]
        self.submitted.append(job)
        code = self.folder / job["runtime_env"]["working_dir"].removeprefix("gcs://")
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder)}
        environment |= {"TMPDIR": str(self.folder)}
        environment |= {"RAY_AUTH_TOKEN": self.token, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "7"}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {job['entrypoint']}"], cwd=code, stdout=log, stderr=log, start_new_session=True,
                env=environment | {"PYTHONPATH": self.path} | job["runtime_env"]["env_vars"],
            )  # fmt: skip

    def look(self, name: str) -> dict[str, Any]:
        if name in self.jobs:
            return self.jobs[name]
        code = self.processes[name].poll()
        if code is None:
            return {"submission_id": name, "status": "RUNNING", "driver_exit_code": None, "message": "running"}
        state = "SUCCEEDED" if code == 0 else "FAILED"
        return {"submission_id": name, "status": state, "driver_exit_code": code, "message": f"exit code {code}"}

    def stop(self, name: str) -> None:
        self.processes[name].terminate()
        self.processes[name].wait(40)
        self.jobs[name] = {"submission_id": name, "status": "STOPPED", "driver_exit_code": None, "message": "stopped"}

    def lose_the_node_of(self, name: str) -> None:
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()
        message = (
            "Job supervisor actor died: The actor died unexpectedly before finishing this task.\n\tclass_name: ..."
        )
        self.jobs[name] = {"submission_id": name, "status": "FAILED", "driver_exit_code": None, "message": message}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        parts = path.strip("/").split("/")[1:]  # without "api"
        if parts[0] == "packages":
            code = self.folder / parts[2]
            if method == "PUT":
                zipfile.ZipFile(io.BytesIO(body)).extractall(code)
            return (200, {}) if code.exists() else (404, {})
        if len(parts) == 1 and method == "POST":
            self.start(json.loads(body))
            return 200, {}
        if len(parts) == 1:
            return 200, [self.look(name) for name in self.processes]
        if parts[1] not in self.processes:
            return 404, {}
        if parts[-1] == "logs":
            return 200, {"logs": (self.folder / f"{parts[1]}.log").read_text("utf-8")}
        if parts[-1] == "stop":
            threading.Thread(target=self.stop, args=(parts[1],), daemon=True).start()
            return 200, {"stopped": True}
        return 200, self.look(parts[1])

    def handler(self) -> type[BaseHTTPRequestHandler]:
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                cluster.asked.append((self.command, self.path, token))
                if cluster.token and token != cluster.token:
                    status, found = (403, "Forbidden") if token else (401, "Unauthorized: Missing authentication token")
                else:
                    status, found = cluster.answer(self.command, self.path, body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            do_GET = do_POST = do_PUT = do

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler


@contextmanager
def small_cluster(folder: Path, **options: str) -> Iterator[SmallCluster]:
    folder.mkdir()
    cluster = SmallCluster(folder, **options)
    try:
        yield cluster
    finally:
        cluster.close()
