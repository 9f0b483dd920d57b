"""docs/client.md: its examples are one program, and it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.client.fake_worker import FakeWorker

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_examples_of_the_guide_run(worker: FakeWorker, tmp_path: Path) -> None:
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.M | re.S))
    assert program.count("127.0.0.1:2378") >= 3
    script = tmp_path / "guide.py"
    script.write_text(program.replace("127.0.0.1:2378", worker.endpoint))
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
