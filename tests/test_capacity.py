"""The figures of docs/capacity.md are those of the plan."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_page_has_the_tables_that_the_plan_prints() -> None:
    spec = importlib.util.spec_from_file_location("plan", ROOT / "benchmarks" / "capacity_plan.py")
    assert spec
    assert spec.loader
    plan = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "plan", plan)  # dataclasses look there
        spec.loader.exec_module(plan)
    measured = json.loads(plan.RESULT.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8").splitlines()
    printed = [line for line in plan.tables(measured, plan.Assumptions()) if line]
    assert len(printed) > 40
    assert [line for line in printed if line not in page] == []
