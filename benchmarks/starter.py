"""How good a model is before any training: the figures of docs/models.md.

Needs public sets in DATA (see benchmarks/README.md); without DATA, only the bundled sample is run.

    python benchmarks/starter.py [--model starter] [--data DATA] [--misses]

- welfare: every question of welfare_qa.csv, searched over all its answers (no known questions).
- chatbot: 20% of the questions of chatbot.csv (seed 0), searched with the rest as known questions.
- sample: one phrasing of each answer of the bundled sample (seed 0), searched with the rest.
- KorSTS: Spearman between cosine and the human score, development set.
- mixed: Latin words and digits beside Korean.
"""

import argparse
import csv
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexes.collection import Collection, KnownQuestion, build_collection
from indexes.tables import SAMPLE_PATH, read_table
from indexes.text import same_text_key
from indexes.views import BM25_VIEWS
from search.encoders import Encoder, open_encoder
from search.fusion import METHODS
from search.index import build_index
from search.models import ModelConfig, check_model, save_model
from search.searcher import Searcher
from training.bootstrap import paired_bootstrap
from training.evaluation import METRICS, Evaluation, evaluate, queries_of
from training.metrics import reciprocal_rank_at

MIXED = (
    ("iPhone 14 배터리 교체", "아이폰14 배터리 바꾸기", "갤럭시 액정 수리"),
    ("SKT 요금제 5G", "SKT 5G 요금제 알려줘", "SKT 멤버십 할인"),
    ("LG U+ 인터넷 해지", "LGU+ 인터넷 해지하고 싶어요", "LG 냉장고 온도"),
    ("USB-C 충전기 3A", "USB C타입 3A 충전기", "무선 이어폰 충전"),
    ("VPN 연결 오류 809", "VPN 접속이 안 되고 809 오류", "와이파이 비밀번호"),
    ("Windows 11 업데이트", "윈도우 11 업데이트 방법", "맥북 초기화"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="starter", help="as dotbogi index takes it")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--known", type=int, help="of the sample's other phrasings, this many each")
    parser.add_argument("--misses", action="store_true", help="list the sample's misses")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        config = ModelConfig(name=arguments.model)
        check_model(config)
        save_model(config, [a.text for a in _collection(SAMPLE_PATH).answers], folder)
        encoder = open_encoder(folder)
    if arguments.data:
        welfare = _collection(arguments.data / "welfare_qa.csv")
        _report("welfare", *_run(encoder, welfare, welfare.questions))
        chatbot = _collection(arguments.data / "chatbot.csv")
        count = len(chatbot.questions) // 5
        _report(
            "chatbot", *_run(encoder, chatbot, random.Random(0).sample(chatbot.questions, count))
        )
        print(f"KorSTS dev Spearman {korsts(encoder, arguments.data / 'korsts/sts-dev.tsv'):.3f}")
    sample = _collection(SAMPLE_PATH)
    asked = one_of_each(sample)
    if arguments.known is not None:
        sample = _thinned(sample, asked, arguments.known)
    found = _run(encoder, sample, asked)
    _report("sample", *found)
    if arguments.misses:
        _print_misses(sample, *found)
    for query, near, far in MIXED:
        vectors = encoder.encode_queries([query, near, far])
        print(
            f"{query} | {near} {vectors[0] @ vectors[1]:.2f} | {far} {vectors[0] @ vectors[2]:.2f}"
        )


def one_of_each(collection: Collection) -> list[KnownQuestion]:
    """Return one known question of every answer, by seed 0."""
    rng = random.Random(0)
    of_answer: dict[str, list[KnownQuestion]] = defaultdict(list)
    for question in collection.questions:
        of_answer[question.answer_id].append(question)
    return [rng.choice(questions) for questions in of_answer.values()]


def _thinned(collection: Collection, asked: Sequence[KnownQuestion], known: int) -> Collection:
    """Keep, beside those asked, at most `known` questions of every answer, by seed 0."""
    rng = random.Random(0)
    others: dict[str, list[KnownQuestion]] = defaultdict(list)
    for question in collection.questions:
        if question not in asked:
            others[question.answer_id].append(question)
    kept = [q for of_one in others.values() for q in rng.sample(of_one, min(known, len(of_one)))]
    return Collection(collection.answers, [*asked, *kept])


def korsts(encoder: Encoder, path: Path) -> float:
    """Return the Spearman correlation of cosine with the score of a KorSTS file."""
    from scipy.stats import spearmanr

    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    first = encoder.encode_queries([line["sentence1"] for line in lines])
    second = encoder.encode_queries([line["sentence2"] for line in lines])
    scores = [float(line["score"]) for line in lines]
    return float(spearmanr((first * second).sum(axis=1), scores).statistic)


def _collection(path: Path) -> Collection:
    return build_collection(read_table(path))[0]


def _run(
    encoder: Encoder, collection: Collection, asked: Sequence[KnownQuestion]
) -> tuple[Searcher, Evaluation]:
    keys = {same_text_key(question.text) for question in asked}
    known = [q for q in collection.questions if same_text_key(q.text) not in keys]
    right = [q for q in collection.questions if same_text_key(q.text) in keys]
    searcher = Searcher(build_index(Collection(collection.answers, known), encoder))
    return searcher, evaluate(searcher, queries_of(right))


def _report(name: str, searcher: Searcher, evaluation: Evaluation) -> None:
    size = searcher.index.collection
    print(
        f"{name}: {len(evaluation.queries)} queries, {len(size.answers)} answers, "
        f"{len(size.questions)} known questions"
    )
    for method in METHODS:
        figures = "  ".join(f"{m} {evaluation.mean(method, m):.3f}" for m in METRICS)
        print(f"  {method:7} {figures}")
    analyzer, views = searcher.index.analyzer, searcher.index.views
    texts = [query.text for query in evaluation.queries]
    weighted, plain = analyzer.tokenize_queries(texts), analyzer.tokenize(texts)
    baselines = [(f"bm25.{view}", view, weighted) for view in BM25_VIEWS]
    for label, view, tokens in [*baselines, ("bm25.joined, lemmas counted once", "joined", plain)]:
        ranks = [
            reciprocal_rank_at(10, [c.answer_id for c in found], query.grades)
            for found, query in zip(
                views[view].search_bm25(tokens, 10), evaluation.queries, strict=True
            )
        ]
        gain = paired_bootstrap(evaluation.scores["hybrid"]["MRR@10"], ranks, seed=0)
        print(f"  hybrid over {label} ({np.mean(ranks):.3f}): MRR@10 {gain}")


def _print_misses(collection: Collection, searcher: Searcher, evaluation: Evaluation) -> None:
    texts = {answer.id: answer.text for answer in collection.answers}
    for query in evaluation.queries:
        first = evaluation.runs["hybrid"][query.id][0].answer_id
        if first not in query.grades:
            right = next(iter(query.grades))
            print(f"  {query.text} -> {texts[first][:40]} (right: {texts[right][:40]})")


if __name__ == "__main__":
    main()
