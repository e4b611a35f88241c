import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from indexes.collection import build_collection
from indexes.tables import SAMPLE_PATH, read_table
from search.encoders import open_encoder
from search.models import STARTER_FOLDER
from training import starter
from training.kiwi_vectors import (
    Words,
    analyse_words,
    dictionary_words,
    morpheme_vectors,
    open_kiwi,
    piece_vectors,
)

ROOT = Path(__file__).parent.parent


def test_the_bundled_starter_is_small_and_equal_to_sentence_transformers() -> None:
    assert sum(path.stat().st_size for path in STARTER_FOLDER.rglob("*")) <= 20_000_000
    from sentence_transformers import SentenceTransformer

    texts = ["배고프다", "iPhone 14 배터리 교체", "환불 ㅠㅠ 언제 돼요?", "", "🙂", "SKT 요금제 5G"]
    theirs = SentenceTransformer(str(STARTER_FOLDER)).encode(texts, normalize_embeddings=True)
    ours = open_encoder(STARTER_FOLDER).encode_queries(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_model_card_names_every_corpus_with_its_licence() -> None:
    card = (STARTER_FOLDER / "README.md").read_text(encoding="utf-8")
    for name, corpus in starter.CORPORA.items():
        assert f"| {name} | {corpus.licence} |" in card


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("배고프다", "배가 고파요", "환불해 주세요"),
        ("여자친구랑 헤어졌어", "애인과 이별했어요", "카드로 결제할게요"),
        ("iPhone 14 배터리 교체", "아이폰14 배터리 바꾸기", "갤럭시 액정 수리"),
        ("SKT 요금제 5G", "SKT 5G 요금제 알려줘", "SKT 멤버십 할인"),
        ("Windows 11 업데이트", "윈도우 11 업데이트 방법", "맥북 초기화"),
        ("택배 언제 와요", "배송이 늦네요", "영화 추천해줘"),
    ],
)
def test_the_bundled_starter_knows_korean_and_mixed_text(query: str, near: str, far: str) -> None:
    vectors = open_encoder(STARTER_FOLDER).encode_queries([query, near, far])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


def test_the_starter_loads_without_torch() -> None:
    code = (
        "import sys; from search.encoders import open_encoder; "
        "from search.models import STARTER_FOLDER; open_encoder(STARTER_FOLDER); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_without_the_corpora_one_line_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.starter", tmp_path / "corpora", tmp_path / "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "28 of the 28 pair files that the starter is made of are not there" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_words_are_counted_with_their_morphemes_and_the_dictionary_adds_its_own() -> None:
    rows = {("배고프", "VA"): 0, ("밥", "NNG"): 1, ("먹", "VV"): 2}
    words = analyse_words(open_kiwi(), ["배고프면 밥을 먹어요", "배고프면 자요"], rows)
    assert words.counts["배고프면"] == 2
    assert words.morphemes["배고프면"] == (0,)
    assert words.morphemes["밥을"] == (1,)
    assert words.morphemes["자요"] == ()
    assert words.counts["배고팠어요"] == 1
    assert words.morphemes["배고팠어요"] == (0,)
    np.testing.assert_allclose(words.idf, np.log([3 / 3, 3 / 2, 3 / 2]))


def test_piece_vectors_solve_the_ridge_regression() -> None:
    from search.static import train_unigram

    texts = ["가나 다라", "가나다 라마", "마바 사아", "사아자"]
    tokenizer = train_unigram(texts, vocabulary=30)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3, 5)).astype(np.float32)
    words = Words(
        counts={"가나": 4, "다라": 1, "가나다": 9, "사아자": 1},
        morphemes={"가나": (0,), "다라": (1, 2), "가나다": (0, 2), "사아자": ()},
        idf=np.asarray([1.0, 2.0, 3.0]),
    )
    pieces = np.zeros((4, tokenizer.get_vocab_size()))
    wanted = np.zeros((4, 5))
    for row, word in enumerate(sorted(words.counts)):
        for piece, times in Counter(tokenizer.encode(word, add_special_tokens=False).ids).items():
            pieces[row, piece] = times
        for morpheme in words.morphemes[word]:
            wanted[row] += vectors[morpheme] * words.idf[morpheme] / words.idf.mean()
    weight = np.diag([np.sqrt(words.counts[word]) for word in sorted(words.counts)])
    gram = pieces.T @ weight @ pieces + np.eye(pieces.shape[1])
    expected = np.linalg.solve(gram, pieces.T @ weight @ wanted)
    np.testing.assert_allclose(piece_vectors(tokenizer, words, vectors), expected, atol=1e-5)


@pytest.mark.slow
def test_the_recipe_makes_a_model_that_knows_kiwis_neighbours_and_the_pairs(tmp_path: Path) -> None:
    kiwi = open_kiwi()
    vectors, rows = morpheme_vectors(kiwi, landmarks=60)
    hungry, starving, refund = (
        vectors[rows[m]] for m in (("배고프", "VA"), ("허기지", "VV"), ("환불", "NNG"))
    )
    assert hungry @ starving > hungry @ refund + 0.2
    assert dictionary_words(kiwi, rows)["배고팠어요"] == rows["배고프", "VA"]

    collection = build_collection(read_table(SAMPLE_PATH))[0]
    texts = {answer.id: answer.text for answer in collection.answers}
    pairs = [(q.text, texts[q.answer_id]) for q in collection.questions[:400]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = (
        "import json, sys; from pathlib import Path; from training.starter import make_starter; "
        "make_starter({'kornlu': json.load(sys.stdin)}, Path(sys.argv[1]), "
        "vocabulary=20_000, landmarks=60)"
    )
    import json

    for name in ("one", "two"):
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / name],
            input=json.dumps(pairs), cwd=ROOT, env=environment, check=True, text=True,
            capture_output=True,
        )  # fmt: skip
    assert starter.weights_digest(tmp_path / "one") == starter.weights_digest(tmp_path / "two")
    encoder = open_encoder(tmp_path / "one")
    queries = encoder.encode_queries([question for question, _ in pairs[:50]])
    answers = encoder.encode_answers([answer for _, answer in pairs[:50]])
    assert (queries * answers).sum(axis=1).mean() > (queries @ answers.T).mean() + 0.1
