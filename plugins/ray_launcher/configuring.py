"""What the operator says about the cluster, from environment variables; each is described in docs/ray.md.

The token stays in this process: it goes to the cluster in a header, and into no job, log or handle.
"""

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class Refused(Exception):
    """Why no job goes there: a setting that will not do, or a cluster that is not safe. Trying again does not help."""


@dataclass(frozen=True)
class Cluster:
    """Where jobs go, and on which terms."""

    address: str
    token: str = field(repr=False)
    store: str
    allow_open: bool = False
    allow_plain: bool = False
    gpus: float = 0  # for each process of a run
    resources: Mapping[str, float] = field(default_factory=dict)
    lost_after: float = 60.0  # seconds of silence after which a job counts as lost

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.address)


def cluster(outer: Mapping[str, str] = os.environ) -> Cluster:
    """The operator's cluster. Raises Refused with what is missing or would not be safe."""
    address = outer.get("FEINSCHLIFF_RAY_ADDRESS", "").rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise Refused(
            "FEINSCHLIFF_RAY_ADDRESS must be the address of a cluster's dashboard, such as http://127.0.0.1:8265"
            + (f", not {address!r}" if address and not parts.username else "")
        )
    store = outer.get("FEINSCHLIFF_STORE", "")
    if not store and not _is_loopback(address):
        raise Refused(
            f"the cluster at {address} cannot read this machine's folders: set FEINSCHLIFF_STORE to a place that both "
            "can, such as s3://bucket/prefix or a shared folder"
        )
    found = Cluster(
        address=address,
        token=_token(outer),
        store=store or str(Path(outer.get("FEINSCHLIFF_HOME") or "var").resolve() / "store"),
        allow_open=outer.get("FEINSCHLIFF_RAY_ALLOW_OPEN") == "1",
        allow_plain=outer.get("FEINSCHLIFF_RAY_ALLOW_PLAIN") == "1",
        gpus=_number(outer, "FEINSCHLIFF_RAY_GPUS", 0),
        resources=_resources(outer.get("FEINSCHLIFF_RAY_RESOURCES", "")),
        lost_after=max(5.0, _number(outer, "FEINSCHLIFF_RAY_LOST_SECONDS", 60)),
    )
    if parts.scheme == "http" and found.token and not found.is_loopback and not found.allow_plain:
        raise Refused(
            f"the token would go to {address} unencrypted, where anybody on the way can read it: use https, forward a port "
            "to 127.0.0.1, or set FEINSCHLIFF_RAY_ALLOW_PLAIN=1 where the network between is yours alone"
        )
    return found


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(outer: Mapping[str, str]) -> str:
    token = outer.get("FEINSCHLIFF_RAY_TOKEN") or outer.get("RAY_AUTH_TOKEN") or ""
    if not token and outer.get("RAY_AUTH_TOKEN_PATH"):
        try:
            token = Path(outer["RAY_AUTH_TOKEN_PATH"]).read_text(encoding="utf-8")
        except (OSError, ValueError) as wrong:
            raise Refused(f"RAY_AUTH_TOKEN_PATH: the token cannot be read ({wrong})") from None
    token = token.strip()
    if not token.isprintable() or not token.isascii():
        raise Refused("the Ray token has characters that no token has; look at FEINSCHLIFF_RAY_TOKEN")
    return token


def _resources(text: str) -> dict[str, float]:
    try:
        found = json.loads(text or "{}")
        return {str(name): float(amount) for name, amount in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise Refused(f'FEINSCHLIFF_RAY_RESOURCES must be JSON such as {{"trainer": 1}}, not {text!r}') from None


def _number(outer: Mapping[str, str], name: str, otherwise: float) -> float:
    try:
        found = float(outer.get(name) or otherwise)
    except ValueError:
        found = -1
    if not 0 <= found < 1e6:
        raise Refused(f"{name} must be a number such as {otherwise}, not {outer[name]!r}")
    return found
