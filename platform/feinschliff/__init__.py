"""The contract of Feinschliff: all that a plugin imports, and nothing heavy behind it.

Trainers, launchers and model sources are offered through three hooks (`hookspecs`); a run is a folder and a process
(`python -m feinschliff train FOLDER`) that knows neither the site nor its database. Importing this package loads
pluggy and pydantic, never torch or Django.
"""

from feinschliff.hookspecs import hookimpl
from feinschliff.launcher import Job, JobStatus, Launcher, Launches
from feinschliff.model import (
    Classifies,
    Embeds,
    Fills,
    Generates,
    ModelAbout,
    ModelNotOpened,
    ModelSource,
    Opening,
    Scores,
    verbs_of,
)
from feinschliff.rows import Message, Prompt, RowError
from feinschliff.run import Run
from feinschliff.trainer import API_VERSION, Explained, Needs, NeedsNotMet, Trainer

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "Classifies",
    "Embeds",
    "Explained",
    "Fills",
    "Generates",
    "Job",
    "JobStatus",
    "Launcher",
    "Launches",
    "Message",
    "ModelAbout",
    "ModelNotOpened",
    "ModelSource",
    "Needs",
    "NeedsNotMet",
    "Opening",
    "Prompt",
    "RowError",
    "Run",
    "Scores",
    "Trainer",
    "hookimpl",
    "verbs_of",
]
