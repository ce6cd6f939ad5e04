"""The table of docs/microsoft.md, made of the texts: `python -m tests.pages.messages_table` writes it."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.providers.messages import MESSAGES

DOCS = Path(__file__).parents[2] / "docs/microsoft.md"
_HEAD = "| `code` in the log | The person reads | The operator does |\n|---|---|---|\n"


def table() -> str:
    """Every code, in the order of the dictionary."""
    lines = [
        f"| `{code}` | {_cell(message.title)} | {_cell(message.operator)} |\n"
        for code, message in MESSAGES.items()
    ]
    return _HEAD + "".join(lines)


def _cell(text: str) -> str:
    filled = text.replace("{provider}", "Microsoft")
    for name in ("client_id", "redirect_uri", "public_url"):
        filled = filled.replace("{" + name + "}", f"*{name.replace('_', ' ')}*")
    return filled.replace("|", "\\|")


if __name__ == "__main__":
    above, _, _ = DOCS.read_text(encoding="utf-8").partition(_HEAD)
    DOCS.write_text(above + table(), encoding="utf-8")
