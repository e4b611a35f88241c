"""Does a month of noisy feedback make search better, and what does one spammer do to it?

Of chatbot.csv a tenth of the questions is held out, and 2,000 of the others are taken out; the rest
is indexed and trained on. Then 200 users ask the 2,000 questions and see five answers each. A user
calls the first right answer that is shown right, and a wrong answer in first place wrong; one vote
in ten says the opposite. One more client calls a single answer right for every question. Then
`train --with-feedback`, with the cap on a client's votes and without it.

    OMP_NUM_THREADS=1 python benchmarks/feedback.py DATA [--seed 42]

MRR@10 of the hybrid is that on the questions held out, none of which anybody asked. Writes
benchmarks/results/feedback.json.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from public_data import collection_of

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.text import same_text_key
from dotbogi.search import Searcher, index_collection
from dotbogi.search.feedback import Feedback, FeedbackStore, Verdict
from dotbogi.search.known_questions import Query, queries_of
from dotbogi.training.config import LoopConfig
from dotbogi.training.judgements.feedback import VOTES_PER_CLIENT
from dotbogi.training.loop import run_loop
from dotbogi.training.measure.bootstrap import paired_bootstrap
from dotbogi.training.measure.outcomes import open_outcomes
from dotbogi.training.rounds import RunResult
from dotbogi.training.split import hold_out

QUERIES, USERS, SHOWN, NOISE, HOLDOUT = 2000, 200, 5, 0.1, 0.1
UNCAPPED = 1_000_000
RESULT = Path(__file__).parent / "results" / "feedback.json"


def main() -> None:
    """Simulate the month, train with and without the cap, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    start, month = held_out(collection_of("chatbot", arguments.data), rng, arguments.seed)
    config = LoopConfig(seed=arguments.seed, holdout=HOLDOUT)
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(Path(folder) / "before")
        index_collection(place, start, {"table": "chatbot.csv"})
        found = {"before": facts(place, run_loop(place, start, config), month)}
        print("before", json.dumps(found["before"]), flush=True)
        votes = list(said(Searcher.open(place.folder), month, start, rng))
        spam = [vote for vote in votes if vote.client == "spammer"]
        cases = {
            "with the cap": (votes, VOTES_PER_CLIENT),
            "without the cap": (votes, UNCAPPED),
            "nobody spams": ([vote for vote in votes if vote not in spam], VOTES_PER_CLIENT),
        }
        for case, (cast, per_client) in cases.items():
            copy = Workspace(Path(folder) / case)
            shutil.copytree(place.folder, copy.folder)
            store = FeedbackStore.open(copy.folder)
            for vote in cast:
                store.add(vote)
            store.close()
            result = run_loop(copy, start, replace(config, votes_per_client=per_client))
            found[case] = {
                **facts(copy, result, month),
                "gain": asdict(gain(place, copy, arguments.seed)),
            }
            print(case, json.dumps(found[case], ensure_ascii=False), flush=True)
    found["month"] = {"votes": len(votes), "spam": len(spam), "seed": arguments.seed}
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    show(found)


def held_out(
    collection: Collection, rng: random.Random, seed: int
) -> tuple[Collection, list[Query]]:
    """Return the collection without the month's questions, and these."""
    train = hold_out(collection, HOLDOUT, seed=seed).only(["train"])
    month = rng.sample(queries_of(train.questions), QUERIES)
    asked = {same_text_key(query.text) for query in month}
    rest = [q for q in collection.questions if same_text_key(q.text) not in asked]
    return replace(collection, questions=rest), month


def said(
    searcher: Searcher, month: Sequence[Query], collection: Collection, rng: random.Random
) -> Iterator[Feedback]:
    """Yield the votes of the month, one query after the other."""
    favourite = rng.choice(collection.answers).id
    everything = searcher.search_many([query.text for query in month], SHOWN)
    for number, (query, hits) in enumerate(zip(month, everything, strict=True)):
        shown = tuple(hit.answer_id for hit in hits)
        user = f"user {rng.randrange(USERS)}"
        right = next((answer for answer in shown if answer in query.grades), None)
        cast: list[tuple[str, str, Verdict]] = []
        if right:
            cast.append((user, right, "right"))
        if shown and shown[0] != right:
            cast.append((user, shown[0], "wrong"))
        for i, (client, answer, verdict) in enumerate(cast):
            if rng.random() < NOISE:
                cast[i] = client, answer, "wrong" if verdict == "right" else "right"
        cast.append(("spammer", favourite, "right"))
        for client, answer, verdict in cast:
            yield Feedback(
                id=f"{number} {answer}", client=client, query=query.text, shown=shown,
                answer_id=answer, verdict=verdict, generation=searcher.generation or "",
                time="2026-11-21T00:00:00+00:00",
            )  # fmt: skip


def facts(place: Workspace, result: RunResult, month: Sequence[Query]) -> dict[str, Any]:
    """Return the figures of one run: on the questions held out, and on the month's."""
    hits = Searcher.open(place.folder).search_many([query.text for query in month], 1)
    pairs = zip(hits, month, strict=True)
    right = sum(any(hit.answer_id in query.grades for hit in first) for first, query in pairs)
    test = result.test
    assert test
    return {
        "test queries": test.queries,
        "round 0": test.before["hybrid"]["MRR@10"],  # the starting model
        "published": test.after["hybrid"]["MRR@10"],
        "kept round": test.kept_round,
        "right first, asked again": right / len(month),
        "feedback": result.started.feedback,
    }


def gain(before: Workspace, after: Workspace, seed: int) -> Any:
    """Return the gain in MRR@10 of the hybrid a held-out question, with its interval."""
    looks = [open_outcomes(_outcomes(place)) for place in (before, after)]
    assert looks[0].queries == looks[1].queries
    assert looks[0].right == looks[1].right
    return paired_bootstrap(*[each.scores["hybrid"]["MRR@10"] for each in looks[::-1]], seed=seed)


def _outcomes(place: Workspace) -> Path:
    return max(place.rounds_folder.glob("run-*")) / "test-after.parquet"


def show(found: dict[str, Any]) -> None:
    """Print the table of docs/feedback.md."""
    print(f"{found['before']['test queries']} questions held out")
    for case, row in found.items():
        if case == "month":
            continue
        change = row.get("gain")
        interval = (
            f"{change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]" if change else ""
        )
        again = f"{row['right first, asked again']:.0%}"
        print(f"{case:18}{row['published']:.3f}  {interval:24}{again:>5}")


if __name__ == "__main__":
    main()
