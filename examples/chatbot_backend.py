"""A small chat backend that answers from a running dotbogi service.

    dotbogi serve                                 # in one terminal
    python examples/chatbot_backend.py            # in another; type questions

It answers when the service is sure enough, hands over to a person when it is not, and sends the
users' thumbs back, which become training data. Only the standard library is needed.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

FALLBACK = "잘 모르겠어요. 상담원에게 연결해 드릴까요?"


@dataclass(frozen=True)
class Turn:
    """One question, and what was shown for it."""

    query: str
    text: str
    answer_ids: list[str]  # empty: nothing was sure enough
    generation: str


class Chat:
    """A conversation with one user."""

    def __init__(self, url: str, key: str, min_confidence: float | str) -> None:
        self.url, self.key, self.min_confidence = url, key, min_confidence
        self.client = uuid.uuid4().hex  # not the user's name: feedback is erased by this id

    def ask(self, query: str) -> Turn:
        """Return the best answer, or FALLBACK below the confidence asked for."""
        body = {"query": query, "k": 3, "min_confidence": self.min_confidence}
        status, reply = self._post("/v1/search", body)
        hits = reply["results"][0]["hits"] if status == 200 else []
        text = hits[0]["text"] if hits else FALLBACK
        return Turn(query, text, [hit["answer_id"] for hit in hits], reply.get("generation", ""))

    def vote(self, turn: Turn, verdict: str, vote_id: str | None = None) -> bool:
        """Send what the user says about an answer; repeated with the same id it is stored once."""
        body = {
            "id": vote_id or uuid.uuid4().hex,
            "client": self.client,
            "query": turn.query,
            "shown": turn.answer_ids,
            "answer_id": turn.answer_ids[0],
            "verdict": verdict,
            "generation": turn.generation,
        }
        return self._post("/v1/feedback", body)[0] in (200, 201)

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and JSON; when the service is busy, once more after the time it names."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        for last in (False, True):
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                if error.code != 429 or last:
                    return error.code, {}
                time.sleep(float(error.headers["Retry-After"]))
            except (OSError, ValueError):  # not there, too slow, or a proxy answers in its place
                return 503, {}
        raise AssertionError


def main() -> None:
    """Chat on the terminal: a question a line; /right or /wrong about the answer before."""
    parser = argparse.ArgumentParser(description="Chat with a dotbogi service.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--min-confidence", default="auto", help="auto, or 0 to 1")
    options = parser.parse_args()
    wanted = options.min_confidence
    least = wanted if wanted == "auto" else float(wanted)
    chat = Chat(options.url, os.environ.get("DOTBOGI_KEY", ""), least)
    turn = None
    for line in sys.stdin:
        message = line.strip()
        if message in ("/right", "/wrong"):
            if turn and turn.answer_ids:
                print("thank you" if chat.vote(turn, message[1:]) else "the vote was not taken")
        elif message:
            turn = chat.ask(message)
            print(turn.text, flush=True)


if __name__ == "__main__":
    main()
