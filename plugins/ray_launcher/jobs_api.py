"""Speaks to a cluster's Jobs API: plain REST with a token, no Ray installed here.

Departs from Ray's own client in asking first without the token: a cluster that answers then runs anybody's code, and gets
none of ours. No redirect is followed, and no proxy stands between us and this machine.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from plugins.ray_launcher.configuring import Cluster, Refused

TIMEOUT = 10.0
DONE = ("SUCCEEDED", "FAILED", "STOPPED")


class Away(Exception):
    """The cluster does not answer, or not sensibly; asked again it may."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object, **_more: object) -> None:
        return None


class JobsApi:
    """One cluster. Every call raises Away or Refused."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        proxies = [urllib.request.ProxyHandler({})] if cluster.is_loopback else []
        self._opener = urllib.request.build_opener(_NoRedirect(), *proxies)
        self._trusted = False

    def job(self, name: str) -> dict[str, Any] | None:
        """What the cluster knows of a job; None if it has never heard of it."""
        status, body = self._ask("GET", f"/api/jobs/{name}")
        return None if status == 404 else _object(status, body)

    def submit(self, name: str, job: Mapping[str, Any]) -> None:
        """Starts the job, unless one of this name is there already."""
        if self.job(name) is None:
            status, body = self._ask("POST", "/api/jobs/", json.dumps({**job, "submission_id": name}).encode())
            if status != 200 and self.job(name) is None:
                raise Refused(f"the cluster did not take the job: {_first_line(status, body)}")

    def log(self, name: str) -> str:
        """All that the job has written so far: this endpoint knows no offset."""
        return str(_object(*self._ask("GET", f"/api/jobs/{name}/logs")).get("logs") or "")

    def stop(self, name: str) -> None:
        self._ask("POST", f"/api/jobs/{name}/stop")

    def has_package(self, name: str) -> bool:
        return self._ask("GET", f"/api/packages/gcs/{name}")[0] == 200

    def put_package(self, name: str, content: bytes) -> None:
        status, body = self._ask("PUT", f"/api/packages/gcs/{name}", content, "application/octet-stream")
        if status != 200:
            raise Refused(f"the cluster did not take our code: {_first_line(status, body)}")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        self._trust()
        status, answer = self._send(method, path, body, {"Content-Type": kind} | self._headers())
        if status in (401, 403):
            self._trusted = False
            raise Refused(self._not_let_in())
        if status >= 500:
            raise Away(f"{self.cluster.address} answers with {_first_line(status, answer)}")
        return status, answer

    def _trust(self) -> None:
        """First contact: is there a guard at all? Asked again after every refusal."""
        if self._trusted:
            return
        status, answer = self._send("GET", "/api/jobs/", None, {})
        if status == 200 and not (self.cluster.is_loopback and self.cluster.allow_open):
            raise Refused(
                f"the Ray cluster at {self.cluster.address} answers without a token: whoever reaches it runs code on it. "
                "Start it with RAY_AUTH_MODE=token and a token"
                + ("; for trying things out on this machine alone, set FEINSCHLIFF_RAY_ALLOW_OPEN=1"
                   if self.cluster.is_loopback else "")
                + ". Nothing was sent"
            )  # fmt: skip
        if status not in (200, 401, 403):
            raise Away(f"{self.cluster.address} answers the Jobs API with {_first_line(status, answer)}")
        if status != 200 and not self.cluster.token:
            raise Refused(self._not_let_in())
        self._trusted = True

    def _not_let_in(self) -> str:
        if not self.cluster.token:
            return f"the Ray cluster at {self.cluster.address} asks for a token: set FEINSCHLIFF_RAY_TOKEN"
        return f"the Ray cluster at {self.cluster.address} does not accept the token in FEINSCHLIFF_RAY_TOKEN"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.cluster.token}"} if self.cluster.token else {}

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        request = urllib.request.Request(  # noqa: S310 - http or https: checked where the address is read
            self.cluster.address + path, data=body, headers=dict(headers), method=method
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as told:
            return told.code, told.read()
        except (OSError, HTTPException) as wrong:
            reason = getattr(wrong, "reason", wrong)
            raise Away(f"the Ray cluster at {self.cluster.address} does not answer ({reason})") from None


def _object(status: int, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if status != 200 or not isinstance(found, dict):
        raise Away(f"the cluster answers with {_first_line(status, body)}")
    return found


def _first_line(status: int, body: bytes) -> str:
    lines = body.decode("utf-8", "replace").strip().splitlines()
    return f"{status} {lines[-1][:300] if lines else ''}".strip()
