import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ANSWERS
from service_process import ROOT, publish, serving

from dotbogi.search.feedback import FeedbackStore

KEY = "the-key-of-the-chatbot-backend"


def test_the_chatbot_backend_answers_hands_over_and_sends_votes(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    publish(folder)
    typed = "배고프다\n/right\nxyzzy plugh\n/wrong\n택배 언제 와요\n/wrong\n"
    with serving(folder, keys={"chat": {"role": "feedback", "key": KEY}}) as service:
        result = subprocess.run(
            [sys.executable, "examples/chatbot_backend.py", "--url", service.url],
            cwd=ROOT, input=typed, capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, "DOTBOGI_KEY": KEY, "PYTHONUTF8": "1"},
        )  # fmt: skip
    said = result.stdout.splitlines()
    assert said[0] == ANSWERS["a1"]
    assert said[1] == "thank you"
    assert "상담원" in said[2]  # unsure: nothing to vote on
    assert said[3:] == [ANSWERS["a3"], "thank you"]
    votes = list(FeedbackStore.open(folder).export())
    assert [(vote.query, vote.answer_id, vote.verdict) for vote in votes] == [
        ("배고프다", "a1", "right"), ("택배 언제 와요", "a3", "wrong"),
    ]  # fmt: skip
    assert len({vote.client for vote in votes}) == 1


@pytest.mark.starter
def test_the_chatbot_backend_answers_before_any_training_too(tmp_path: Path) -> None:
    publish(tmp_path / "w", calibrated=False)
    with serving(tmp_path / "w") as service:
        result = subprocess.run(
            [sys.executable, "examples/chatbot_backend.py", "--url", service.url],
            cwd=ROOT, input="배고프다\nxyzzy plugh\n", capture_output=True, text=True, timeout=60,
            check=True,
            env={**os.environ, "PYTHONUTF8": "1"},
        )  # fmt: skip
    answered, handed_over = result.stdout.splitlines()
    assert answered == ANSWERS["a1"]
    assert "상담원" in handed_over
