"""The launcher `ray`: a run as a job of an existing Ray cluster, through its Jobs API."""

from collections.abc import Iterator

from feinschliff import Launcher, hookimpl


@hookimpl
def feinschliff_launchers() -> Iterator[Launcher]:
    yield Launcher(
        api=1,
        name="ray",
        title="Ray cluster",
        summary="A job of the Ray cluster in FEINSCHLIFF_RAY_ADDRESS; goes on when the worker ends, and is found again.",
        makes="plugins.ray_launcher.launching:RayLauncher",
        outlives=True,
    )
