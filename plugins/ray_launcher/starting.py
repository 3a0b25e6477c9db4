"""`make ray`: a cluster of one machine to try the launcher `ray` with, guarded by a token, in the foreground.

Ray as it comes listens on every interface and asks nobody who they are. Here every request needs a token that is made anew and
lies in a file only we can read; the dashboard listens on 127.0.0.1. Ctrl-C ends every process of the cluster, by its id.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import FrameType

MARK = "FEINSCHLIFF_RAY_CLUSTER"
GRACE = 10.0


class Cluster:
    """Ray nodes on this machine that share a token. Ends them all when its block ends."""

    def __init__(self, ray: Path, home: Path) -> None:
        self.ray, self.mark = ray, uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="fsray-"))  # short: paths of sockets have at most 107 characters
        self.log = self.folder / "start.log"
        self.token_file = home / "ray_token"
        self.token = _made_token(self.token_file)
        self.port, self.address = free_port(), ""

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_error: object) -> None:
        for number, wait in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
            until = time.monotonic() + wait
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            while self.processes() and time.monotonic() < until:
                time.sleep(0.2)
        shutil.rmtree(self.folder, ignore_errors=True)

    def head(self, *, cpus: int, dashboard: int) -> subprocess.Popen[bytes]:
        self.address = f"http://127.0.0.1:{dashboard}"
        here = ["--head", f"--port={self.port}", f"--temp-dir={self.folder}", "--node-ip-address=127.0.0.1"]
        return self._start(*here, f"--num-cpus={cpus}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
                           f"--ray-client-server-port={free_port()}")  # fmt: skip

    def node(self, *, cpus: int, resources: str) -> subprocess.Popen[bytes]:
        """One more node, with resources (JSON) by which jobs choose it."""
        here = [f"--address=127.0.0.1:{self.port}", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}"]
        return self._start(*here, f"--resources={resources}", mark=f"{self.mark}-node")

    def processes(self, mark: str = "") -> list[int]:
        """Every process of the cluster (or of what has this mark), however it was started."""
        wanted, found = f"{MARK}={mark or self.mark}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if wanted in (entry / "environ").read_bytes() and (entry / "exe").exists():
                        found.append(int(entry.name))
        return found

    def _start(self, *arguments: str, mark: str = "") -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "FEINSCHLIFF_"))}
        environment |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": f"{self.ray.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # `python` is the cluster's own
            MARK: mark or self.mark,
        }
        own = ["--object-store-memory=200000000", "--min-worker-port=0", "--max-worker-port=0"]
        own += [f"--dashboard-agent-listen-port={free_port()}"]  # it serves the logs
        command = [str(self.ray), "start", "--block", *own, *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


def _made_token(file: Path) -> str:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    token = secrets.token_urlsafe(32)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(token)
    return token


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_up(cluster: Cluster, process: subprocess.Popen[bytes], seconds: float = 120) -> bool:
    """Until the dashboard listens; False when the process ended before."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(cluster.address.rpartition(":")[2])), 1):
            return True
        time.sleep(0.3)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="make ray", description="A cluster of this one machine, guarded by a token.")
    parser.add_argument("--ray", type=Path, default=Path(".venv-ray/bin/ray"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("RAY_PORT") or 8265), help="of the dashboard")
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # also where whoever started us ignores it
    home = Path(os.environ.get("FEINSCHLIFF_HOME") or "var").resolve()
    with Cluster(options.ray.resolve(), home) as cluster:
        try:
            head = cluster.head(cpus=options.cpus, dashboard=options.port)
            sys.stdout.write("Starting Ray; this takes about half a minute ...\n")
            if not wait_until_up(cluster, head):
                log = cluster.log.read_text(encoding="utf-8", errors="replace")
                sys.stderr.write(f"{log[-3000:]}\nRay did not start; its last words are above.\n")
                return 1
            sys.stdout.write(
                f"Ray listens at {cluster.address}. In another terminal:\n\n  FEINSCHLIFF_LAUNCHER=ray \\\n"
                f"  FEINSCHLIFF_RAY_ADDRESS={cluster.address} \\\n  RAY_AUTH_TOKEN_PATH={cluster.token_file} \\\n"
                "  make run\n\nCtrl-C ends the cluster and every job on it.\n"
            )
            sys.stdout.flush()
            return 0 if head.wait() == 0 else 1
        except KeyboardInterrupt:
            sys.stdout.write("\nEnding the cluster ...\n")
            return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
