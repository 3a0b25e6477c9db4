"""Runs as jobs of a Ray cluster. Each job has a thread here that sends it, watches it, and brings home what it left.

The verbs answer from what that thread knows, so a slow cluster or a large model keeps no worker from its heartbeat. Ray's log
endpoint knows no offset: what came is appended to the run's `output.log`, whose size says how far we are, also to the
next worker.
"""

import fcntl
import json
import os
import shlex
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from feinschliff import Job, JobStatus
from feinschliff.store import Store, StoreError
from plugins.lib.logs import read_from
from plugins.ray_launcher import packing
from plugins.ray_launcher.configuring import Cluster, Refused, cluster
from plugins.ray_launcher.jobs_api import DONE, Away, JobsApi

LOOK = 1.0  # seconds between looks at a job
STOP_WAIT = 45  # seconds that Ray waits before it kills a job that was asked to end; `working` gives its trainer 30
T = TypeVar("T")
UNWATCHED = 120.0  # seconds without a question after which a thread ends: another worker has the run


class RayLauncher:
    """See `feinschliff.Launches`. A handle names the cluster, the job, its folder, and where its log begins there."""

    def __init__(self, configured: Callable[[], Cluster] = cluster) -> None:
        self._configured = configured
        self._watches: dict[str, Watch] = {}

    def submit(self, job: Job) -> str:
        """Returns at once; what goes wrong on the way to the cluster is told by `status`."""
        folder = job.folder
        name = job.name or f"run-{folder.name}-{uuid.uuid4().hex[:12]}"
        begins = (folder / "output.log").stat().st_size if (folder / "output.log").exists() else 0
        about = {"job": name, "address": self._address(), "folder": str(folder), "begins": begins, "log": job.log}
        handle = json.dumps(about)
        self._watch(handle, send=True)
        return handle

    def status(self, handle: str) -> JobStatus:
        return self._watch(handle).status()

    def logs(self, handle: str, offset: int) -> tuple[bytes, int]:
        """At most 1 MiB of the run's `output.log` from `offset` on."""
        self._watch(handle)
        return read_from(Path(json.loads(handle)["folder"], "output.log"), offset)

    def cancel(self, handle: str) -> None:
        """The job gets SIGTERM, and kills its trainer itself when that does not end in half a minute."""
        self._watch(handle).ask_to_stop()

    def reattach(self, handle: str) -> bool:
        """True if the cluster has the job at work, or has finished it with a result that nobody has heard of yet.

        False for all others; what they left comes home before the next job of their folder is sent.
        """
        try:
            about = json.loads(handle)
        except ValueError:
            return False
        if not isinstance(about, dict) or not {"job", "address", "folder", "begins"} <= set(about):
            return False  # another launcher's
        return self._watch(handle).is_worth_watching()

    def _address(self) -> str:
        try:
            return self._configured().address
        except Refused:
            return ""

    def _watch(self, handle: str, *, send: bool = False) -> "Watch":
        watch = self._watches.get(handle)
        if watch is None or watch.gave_up:
            about = json.loads(handle)
            earlier = [one for one in self._watches.values() if send and str(one.folder) == about["folder"]]
            for one in earlier:
                one.superseded = True
            watch = self._watches[handle] = Watch(about, self._configured, send=send, earlier=earlier)
            watch.start()
        watch.asked_at = time.monotonic()
        return watch


class Silent(Exception):
    """The cluster or the store has not answered for too long: whatever ran there is given up here."""


class Watch(threading.Thread):
    """One job, from here."""

    def __init__(
        self, about: dict[str, Any], configured: Callable[[], Cluster], *, send: bool, earlier: list["Watch"]
    ) -> None:
        super().__init__(name=about["job"], daemon=True)
        self.job, self.folder, self.begins = str(about["job"]), Path(about["folder"]), int(about["begins"])
        self.about, self.stop, self.gave_up = about, threading.Event(), False
        self.asked_at = time.monotonic()
        self._configured, self._send, self._earlier = configured, send, earlier
        self._end: JobStatus | None = None
        self._told_to_stop = self.superseded = False
        self._log_after, self._lost_after = 0.0, 60.0

    def status(self) -> JobStatus:
        return self._end or JobStatus("running")

    def is_worth_watching(self) -> bool:
        """Asks the cluster now. One that does not answer may well have the job at work, unless we gave it up already."""
        if self._end is not None and self._end.state == "lost":
            return False
        try:
            configured = self._here()
            job = JobsApi(configured).job(self.job)
            if job is not None and job.get("status") not in DONE:
                return True
            return job is not None and packing.has_come_to_an_end(Store(configured.store), self.job)
        except (Away, OSError):
            return True
        except (Refused, StoreError):
            return False

    def ask_to_stop(self) -> None:
        """Now, if it can be told now; otherwise as soon as it can."""
        self.stop.set()
        with suppress(Away, Refused):
            JobsApi(self._here()).stop(self.job)

    def run(self) -> None:
        try:
            for watch in self._earlier:
                watch.join(self._lost_after * 2)
            self._work(self._here())
        except Silent as wrong:
            self._end = JobStatus("lost", cause=_sentence(wrong))
        except (Refused, StoreError) as wrong:
            self._end = JobStatus("ended", cause=_sentence(wrong))
        except Exception as wrong:  # a full disk, a store that fails: this thread is all that knows of it
            self._end = JobStatus(
                "lost", cause=_sentence(f"The job could not be watched: {type(wrong).__name__}: {wrong}")
            )

    def _here(self) -> Cluster:
        configured = self._configured()
        if self.about["address"] and configured.address != self.about["address"]:
            raise Refused(f"the job was sent to {self.about['address']}, and runs go to {configured.address} now")
        return configured

    def _work(self, configured: Cluster) -> None:
        api, store = JobsApi(configured), Store(configured.store)
        self._lost_after = configured.lost_after
        if self._send:
            shutil.rmtree(self.folder / "model", ignore_errors=True)  # an earlier attempt's
            (self.folder / packing.RESULT).unlink(missing_ok=True)
            self._patiently(lambda: self._submit(configured, api, store))
        found: dict[str, Any] | None = {}
        while found is not None and found.get("status") not in DONE and not self.gave_up:
            time.sleep(LOOK)
            self.gave_up = time.monotonic() - self.asked_at > UNWATCHED
            found = self._patiently(lambda: self._look(api))
        if not self.gave_up:
            self._end = self._ended(found, api, store)

    def _submit(self, configured: Cluster, api: JobsApi, store: Store) -> None:
        name, content = packing.code()
        if not api.has_package(name):
            api.put_package(name, content)
        resources = packing.send(store, self.job, self.folder).get("resources") or {}
        ranks = int(resources.get("ranks") or 1)
        command = ["python", "-m", "plugins.ray_launcher.working", "--store", configured.store]
        api.submit(
            self.job,
            {
                "entrypoint": shlex.join([*command, "--name", self.job, "--log", str(self.about["log"])]),
                "runtime_env": {
                    "working_dir": f"gcs://{name}",
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT)},
                },
                "entrypoint_num_cpus": ranks,
                "entrypoint_num_gpus": ranks * configured.gpus,
                "entrypoint_resources": dict(configured.resources),
                "metadata": {"feinschliff": self.job},
            },
        )

    def _look(self, api: JobsApi) -> dict[str, Any] | None:
        if self.stop.is_set() and not self._told_to_stop:
            api.stop(self.job)
            self._told_to_stop = True
        found = api.job(self.job)
        if found is not None and time.monotonic() >= self._log_after:
            self._hear(api)
        return found

    def _hear(self, api: JobsApi) -> None:
        """Appends what is new in the job's log, whole lines only. The larger the log has become, the rarer it is fetched."""
        began = time.monotonic()
        try:
            text = api.log(self.job)
        except Away:  # its node is gone, say; what became of the job is told elsewhere
            return
        finally:
            self._log_after = time.monotonic() + max(LOOK, 20 * (time.monotonic() - began))
        content = text[: text.rfind("\n") + 1].encode()
        with self._locked_log() as log:
            heard = os.fstat(log.fileno()).st_size - self.begins
            if not self.superseded:
                log.write(content[heard:])

    def _ended(self, found: dict[str, Any] | None, api: JobsApi, store: Store) -> JobStatus:
        """Brings home what there is, and says what became of the job."""
        if found is not None:
            self._hear(api)
        code = self._patiently(lambda: self._bring(store))
        if code is not None:
            return JobStatus("ended", code)
        if found is None:
            return JobStatus("lost", cause="The Ray cluster does not know the job: it was started anew, perhaps.")
        said = str(found.get("message") or "").strip().splitlines()
        if found.get("status") == "FAILED" and found.get("driver_exit_code") is None:
            return JobStatus(
                "lost", cause=_sentence(f"The job's node is gone: {said[0] if said else 'Ray says no more'}")
            )
        if found.get("status") == "FAILED":
            return JobStatus(
                "ended", found["driver_exit_code"], "The job ended before its trainer had; its log says more."
            )
        return JobStatus("ended", cause="The job was stopped on the cluster.")

    def _bring(self, store: Store) -> int | None:
        """One worker at a time: another may have the same job's files on the way."""
        with self._locked_log():
            code = packing.bring(store, self.job, self.folder)
            if code is not None:
                packing.clear(store, self.job)
        return code

    @contextmanager
    def _locked_log(self) -> Iterator[IO[bytes]]:
        with (self.folder / "output.log").open("ab") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            yield log

    def _patiently(self, step: Callable[[], T]) -> T:
        """One step, tried again while the cluster or the store is silent, for as long as the operator says."""
        silent_since = time.monotonic()
        while True:
            try:
                return step()
            except (Away, OSError) as wrong:
                if time.monotonic() - silent_since > self._lost_after:
                    raise Silent(f"{wrong}, for {self._lost_after:.0f} seconds") from None
                time.sleep(LOOK)


def _sentence(said: object) -> str:
    text = str(said).strip().splitlines()[0][:500].rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
