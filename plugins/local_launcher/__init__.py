"""The launcher `local`: a run as a child process of the worker, on this machine."""

from collections.abc import Iterator

from feinschliff import Launcher, hookimpl


@hookimpl
def feinschliff_launchers() -> Iterator[Launcher]:
    yield Launcher(
        api=1,
        name="local",
        title="This machine",
        summary="A process of its own beside the worker; ends when the worker ends.",
        makes="plugins.local_launcher.launching:LocalLauncher",
    )
