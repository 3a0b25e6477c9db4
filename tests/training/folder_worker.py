"""A worker process for drills over many runs: the real worker, with a launcher that needs no processes.

Started as `python -m tests.training.folder_worker` on the database of the tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    sys.path.append(str(Path(__file__).resolve().parents[2] / "platform"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    from tests.training.world_of_runs import FolderLauncher
    from training import working

    working.POLL, working.IDLE, FolderLauncher.LOOKS = 0.02, 0.05, 6
    working.Worker(launcher=working.Opened("folder", FolderLauncher())).serve()


if __name__ == "__main__":
    main()
