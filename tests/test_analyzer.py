import pytest

from indexes.analyzer import Analyzer


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
def test_latin_words_are_stemmed_and_stop_words_dropped(name: str) -> None:
    assert Analyzer(name).tokenize(["the Running dogs"])[0] == ["run", "dog"]  # type: ignore[arg-type]


def test_mixed_words_keep_their_whole_and_their_parts() -> None:
    assert Analyzer("bigram").tokenize(["5G 요금제"])[0] == ["5g", "5", "g", "요금", "금제"]


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


def test_a_lemma_of_a_query_counts_twice() -> None:
    text = ["밥을 먹었어 5G"]
    once, query = Analyzer().tokenize(text)[0], Analyzer().tokenize_queries(text)[0]
    assert sorted(query) == sorted(once + [token for token in once if "/" in token])
    assert Analyzer("bigram").tokenize_queries(text) == Analyzer("bigram").tokenize(text)
