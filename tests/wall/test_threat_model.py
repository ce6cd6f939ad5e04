"""docs/security.md names a test for every threat, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)


@cache
def definitions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_named_test_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / "tests" / path).is_file() or name not in definitions(ROOT / "tests" / path)
    ]
    assert missing == []
    assert len(set(NAMED)) > 80


def test_every_threat_has_its_proof() -> None:
    threats = TEXT.split("\n## Threats\n")[1].split("\n## ")[0]
    rows = [line for line in threats.splitlines() if line.startswith("| ") and "| Proof |" not in line]
    assert len(rows) > 40
    assert [
        row for row in rows if not re.search(r"`[\w/]+\.py::\w+`", row.rstrip("| ").split(" | ")[-1])
    ] == []
