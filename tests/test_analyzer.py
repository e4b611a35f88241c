from collections import Counter

import pytest

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.lexical import BM25Index


def found(name: str, query: str, texts: list[str]) -> list[int]:
    """Return the rows of the texts that BM25 finds, best first."""
    analyzer = Analyzer(name)  # type: ignore[arg-type]
    index = BM25Index.build(analyzer.tokenize(texts))
    scores = index.scores(analyzer.tokenize_queries([query])[0]).tolist()
    ranked = sorted(range(len(texts)), key=lambda row: -scores[row])
    return [row for row in ranked if scores[row] > index.floor]


def test_endings_of_one_verb_share_its_lemma() -> None:
    tokens = Analyzer().tokenize(["배고프다", "배고파요", "배고팠어"])
    assert all("배고프/V" in row for row in tokens)


def test_a_compound_typed_in_two_words_is_found() -> None:
    # 배가 고파요 and 배고프다 have no word, stem or bigram but 고파/고프 in common otherwise.
    assert "배고프/V" in Analyzer().tokenize(["배가 고파요"])[0]
    assert "화나/V" in Analyzer().tokenize(["화가 나서"])[0]


def test_a_noun_and_verb_that_are_no_word_are_not_joined() -> None:
    assert "돈벌/V" not in Analyzer().tokenize(["돈을 벌다"])[0]


def test_particles_and_endings_are_no_tokens() -> None:
    morphemes = [t for t in Analyzer().tokenize(["밥을 먹었어"])[0] if "/" in t]
    assert morphemes == ["밥/N", "먹/V"]


@pytest.mark.parametrize("name", ["kiwi", "bigram"])
def test_latin_words_are_stemmed_and_stop_words_have_no_stem(name: str) -> None:
    tokens = Analyzer(name).tokenize(["the Running dogs"])[0]  # type: ignore[arg-type]
    assert [token for token in tokens if "/" in token] == ["run/S", "dog/S"]
    assert "the" in tokens


@pytest.mark.parametrize("name", ["kiwi", "bigram"])
@pytest.mark.parametrize(("query", "row"), [("it", 1), ("it is", 1), ("To be, or to be", 2)])
def test_a_query_of_stop_words_alone_finds_its_text(name: str, query: str, row: int) -> None:
    texts = ["환불 규정", "Who is it?", "To be, or not to be: that is the question"]
    assert found(name, query, texts)[0] == row


@pytest.mark.parametrize("name", ["kiwi", "bigram"])
def test_a_stop_word_does_not_outweigh_the_word_beside_it(name: str) -> None:
    assert found(name, "the router", ["the the the", "a router"])[0] == 1


@pytest.mark.parametrize("name", ["kiwi", "bigram"])
@pytest.mark.parametrize(("query", "row"), [("samsng", 1), ("blutooth 연결", 2), ("kubernets", 3)])
def test_a_latin_word_with_a_typo_finds_its_answer(name: str, query: str, row: int) -> None:
    texts = ["프린터 설치", "Samsung 기기", "Bluetooth 켜기", "Kubernetes 배포"]
    assert found(name, query, texts)[0] == row


@pytest.mark.parametrize("text", ["5G 요금제", "5g로 요금제"])
def test_mixed_words_keep_their_whole_and_their_parts(text: str) -> None:
    # A particle that sticks to 5g leaves it what it is.
    tokens = Analyzer("bigram").tokenize([text])[0]
    assert {"5g/S", "5/S", "g/S", "요금", "금제"} <= set(tokens)


def test_a_run_of_one_letter_is_one_ngram() -> None:
    # ㅋㅋ would outweigh every other word of a query otherwise.
    assert Analyzer("bigram").tokenize(["ㅋㅋㅋㅋㅋㅋ", "zzzzz"]) == [["ㅋㅋ"], ["zzzzz/S", "zzz"]]


def test_decomposed_hangul_gives_the_same_tokens() -> None:
    import unicodedata

    decomposed = unicodedata.normalize("NFD", "환불 언제 되나요")
    assert Analyzer().tokenize([decomposed]) == Analyzer().tokenize(["환불 언제 되나요"])


def test_whitespace_leaves_words_as_they_stand() -> None:
    assert Analyzer("whitespace").tokenize(["환불 언제요?"]) == [["환불", "언제요?"]]


@pytest.mark.parametrize("name", ["kiwi", "bigram", "whitespace"])
def test_texts_without_words_have_no_tokens(name: str) -> None:
    assert Analyzer(name).tokenize(["", "  "]) == [[], []]  # type: ignore[arg-type]


def test_every_analyzer_has_its_own_fingerprint() -> None:
    names = ("kiwi", "bigram", "whitespace")
    assert len({Analyzer(name).fingerprint for name in names}) == 3


@pytest.mark.parametrize("word", ["먹/V", "밥/N", "5g/S", "window/S", "2024/S"])
def test_a_word_or_number_of_a_query_counts_twice(word: str) -> None:
    text = ["밥을 먹었어 5G Windows 2024"]
    assert Analyzer().tokenize(text)[0].count(word) == 1
    assert Analyzer().tokenize_queries(text)[0].count(word) == 2


def test_a_query_has_the_tokens_of_a_text() -> None:
    # Those of words are there twice, unless there is no Kiwi.
    text = ["the 밥을 먹었어 5G Windows 2024"]
    once = Counter(Analyzer().tokenize(text)[0])
    query = Counter(Analyzer().tokenize_queries(text)[0])
    assert query == {token: n * (1 + ("/" in token)) for token, n in once.items()}
    assert Analyzer("bigram").tokenize_queries(text) == Analyzer("bigram").tokenize(text)
