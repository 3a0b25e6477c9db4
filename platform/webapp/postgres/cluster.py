"""Makes the data folder of the server, once, and says who may connect.

Made under another name and renamed when complete, so that a half-finished one never looks initialised. Only two users
of the operating system may connect, over a socket in a 0700 folder: ours, and the account the server runs as.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from pathlib import Path

from webapp.home import CannotStart

from .binaries import Binaries, run
from .place import ROLE, SUPERUSER, Place, give, record_place
from .server import Say

MAP = "feinschliff"


def ensure_cluster(place: Place, binaries: Binaries, say: Say) -> None:
    """Initialises the database where there is none; refuses to replace one that was there."""
    if not (place.data / "PG_VERSION").exists():
        _refuse_to_replace(place)
        say(f"Making the database in {place.folder} ...")
        _initialise(place, binaries)
    if not place.initialised:
        record_place(place.home, place, initialised=True)
    _admit(place, place.data)


def _refuse_to_replace(place: Place) -> None:
    if place.initialised:
        raise CannotStart(
            f"The database of {place.home} should be in {place.data}, but it is not there. Bring it back (from a "
            f"backup or the volume it was on); to begin with an empty one, remove {place.home}/postgres/place.json. "
            "Nothing was changed."
        )
    if place.data.exists():
        raise CannotStart(f"{place.data} exists and is not a database. Move it away. Nothing was changed.")


def _initialise(place: Place, binaries: Binaries) -> None:
    for left in place.folder.glob("data.part-*"):
        shutil.rmtree(left, ignore_errors=True)
    # A new name each time: the initdb of a killed predecessor may still be writing into its own.
    draft = place.folder / f"data.part-{secrets.token_hex(4)}"
    draft.mkdir(mode=0o700)
    give(draft, place)
    command = [binaries.program("initdb"), "-D", str(draft), "-U", SUPERUSER, "-E", "UTF8", "--data-checksums"]
    command += ["--auth-local=peer", "--auth-host=reject"]
    answer = run([*command, *_locale(binaries)], place)
    if answer.returncode != 0 and "locale" in answer.stderr and int(binaries.major) >= 17:
        # This system's C library has no C.UTF-8; Postgres' own one orders and compares all the same.
        answer = run([*command, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"], place)
    if answer.returncode != 0:
        raise CannotStart(f"The database could not be made in {place.folder}: {answer.stderr.strip()}")
    _admit(place, draft)
    os.rename(draft, place.data)


def _locale(binaries: Binaries) -> list[str]:
    return [*(["--locale-provider=builtin"] if int(binaries.major) >= 17 else []), "--locale=C.UTF-8"]


def _admit(place: Place, data: Path) -> None:
    """Written at each start: who runs us may have changed since (root instead of a user), the rule may not."""
    people = sorted({pwd.getpwuid(os.geteuid()).pw_name, place.account.name})
    lines = [f'{MAP} "{person}" {role}\n' for person in people for role in (SUPERUSER, ROLE)]
    _write(place, data / "pg_ident.conf", "".join(lines))
    _write(place, data / "pg_hba.conf", f"local all all peer map={MAP}\n")


def _write(place: Place, path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        give(file.fileno(), place)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
