"""The configuration: typed sections, YAML with line numbers, environment, secrets, JSON Schema."""

from gatekeeper.settings.load import load_settings, make_settings
from gatekeeper.settings.model import Settings
from gatekeeper.settings.problems import Problem, SettingsError

__all__ = ["Problem", "Settings", "SettingsError", "load_settings", "make_settings"]
