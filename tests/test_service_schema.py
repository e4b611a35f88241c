import subprocess
import sys
from pathlib import Path

from service_process import publish, serving

KEY = "the-key-of-the-schema-test"
# Small bounds: the generated bodies go up to them, whatever they are.
BOUNDS = ("--max-batch", "4", "--max-query", "60", "--max-text", "60", "--max-k", "10")


def test_schemathesis_finds_nothing_with_all_its_checks(tmp_path: Path) -> None:
    """Statuses, bodies, headers and methods are as /openapi.json says; so is what is refused."""
    publish(tmp_path / "w")
    with serving(tmp_path / "w", *BOUNDS, keys={"t": {"role": "admin", "key": KEY}}) as service:
        program = Path(sys.executable).with_name("schemathesis")
        result = subprocess.run(
            [
                program, "run", f"{service.url}/openapi.json", "-H", f"Authorization: Bearer {KEY}",
                "--checks", "all", "--seed", "42", "--max-examples", "10", "--workers", "2",
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 0, result.stdout[-8000:]
    assert "Tested: 9" in result.stdout  # every operation
    assert "Traceback" not in service.log.read_text(encoding="utf-8")
