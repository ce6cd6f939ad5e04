"""The unit file: accepted by systemd's own check, where there is one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nginx.support import DEPLOY, fill_in


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_the_unit_is_right(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd/gatekeeper.service").read_text()
    unit = tmp_path / "gatekeeper.service"
    program = Path(sys.executable)  # something that exists in place of what is installed there
    unit.write_text(fill_in(text, {"/opt/gatekeeper/bin/gatekeeper": str(program)}))
    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    lines = text.splitlines()
    assert "Type=notify" in lines and "NoNewPrivileges=yes" in lines
