"""Projects: a folder with ``modhub.toml`` and ``modhub.lock``, and all that people do with one."""

from modhub.project.project import Project
from modhub.project.session import Change

__all__ = ["Change", "Project"]
