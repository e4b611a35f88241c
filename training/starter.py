"""The recipe of the bundled starter model: `make starter`.

A tokenizer and a StaticEmbedding table for Korean from open pairs of texts that belong together:

1. Unigram pieces from the texts and from the words of Kiwi's dictionary;
2. a first vector for every piece from Kiwi's language model (`kiwi_vectors`);
3. symmetric MultipleNegativesRankingLoss over the pairs, batches of one source at a time;
4. rows as bytes with a scale each.

On one thread, the same pairs and the same library versions give the same file.

    python -m training.starter CORPORA OUT
"""

import argparse
import hashlib
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import DotbogiError, UsageError

VOCABULARY = 60_000
LANDMARKS = 320
COVERAGE = 0.9999  # of letters; the rest are rare Chinese characters and symbols


@dataclass(frozen=True, slots=True)
class Corpus:
    """One file of pairs, with what its licence asks to be said."""

    licence: str
    source: str
    pairs: bool = True  # False: its texts give words, its pairs are not trained on


# Left out altogether: court_issues and laws_ko, half of all words and none that people type.
CORPORA = {
    "3i4k": Corpus("CC BY-SA 4.0", "warnikchow/3i4k"),
    "android_strings_ko": Corpus("Apache-2.0", "The Android Open Source Project"),
    "arduino_ko": Corpus("CC BY-SA 3.0", "arduino/reference-ko"),
    "bareun_sentences": Corpus("CC BY 4.0", "bareun-nlp/korean-ambiguity-data"),
    "d2l_ko": Corpus("CC BY-SA 4.0", "d2l-ai/d2l-ko"),
    "dev_docs_mit_ko": Corpus("MIT", "vitejs, rinthel, klaytn, rorlakr, nodejs and others"),
    "functionchat": Corpus("Apache-2.0", "kakao/FunctionChat-Bench"),
    "gnome_help_ko": Corpus("CC BY 3.0", "endlessm/gnome-user-docs"),
    "hf_docs_ko": Corpus("Apache-2.0", "huggingface/course, agents-course, diffusers"),
    "klue_dev": Corpus("CC BY-SA 4.0", "KLUE-benchmark/KLUE"),
    "kochat_demo": Corpus("Apache-2.0", "hyunwoongko/kochat"),
    "kornlu": Corpus("CC BY-SA 4.0", "kakaobrain/KorNLUDatasets"),
    "ms_alchemy_ko": Corpus("CC BY 4.0", "isabella232/OfficeDocs-AlchemyInsights-pr.ko-KR"),
    "ms_business_ko": Corpus("CC BY 4.0", "MicrosoftDocs/Dynamics-365-Operations.ko-KR and others"),
    "ms_intune_ko": Corpus("CC BY 4.0", "parkpc/IntuneDocs.ko-KR"),
    "ms_learn_ko": Corpus("CC BY 4.0", "moreal/learn-pr.ko-KR"),
    "ms_power_ko": Corpus("CC BY 4.0", "hongju/powerbi-docs.ko-kr, powerapps-docs.ko-kr"),
    "ms_windows_ko": Corpus("CC BY 4.0", "MicrosoftDocs/windows-uwp.ko-kr"),
    "nsmc_reviews": Corpus("CC0", "e9t/nsmc", pairs=False),
    "opensource_guide_ko": Corpus("CC BY 4.0", "github/opensource.guide"),
    "parakqc": Corpus("CC BY-SA 4.0", "warnikchow/paraKQC"),
    "pytorch_tutorials_ko": Corpus("BSD-3-Clause", "PyTorchKorea/tutorials-kr"),
    "sae4k": Corpus("CC BY-SA 4.0", "warnikchow/sae4k"),
    "stylekqc": Corpus("CC BY-SA 4.0", "cynthia/stylekqc"),
    "tatoeba_ko": Corpus("CC BY 2.0 FR", "Tatoeba"),
    "tldr_ko": Corpus("CC BY 4.0", "tldr-pages/tldr"),
    "web_docs_ko": Corpus("CC BY 4.0", "reactjs, vuejs-translations, line/webpack.kr"),
    "xpersona_ko": Corpus("MIT", "HLTCHKUST/Xpersona"),
}

Pairs = dict[str, list[tuple[str, str]]]

logger = logging.getLogger(__name__)


def read_corpora(folder: Path) -> Pairs:
    """Read the pairs of all corpora: Parquet files with the columns a and b.

    Raises:
        UsageError: a file is missing.
    """
    import pyarrow.parquet as pq

    missing = [name for name in CORPORA if not (folder / f"{name}.parquet").is_file()]
    if missing:
        raise UsageError(
            f"{folder}: {len(missing)} of the {len(CORPORA)} pair files that the starter is made "
            f"of are not there ({missing[0]}.parquet). The bundled model needs none of them."
        )
    pairs: Pairs = {}
    for name in CORPORA:
        table = pq.ParquetFile(folder / f"{name}.parquet").read(columns=["a", "b"])
        pairs[name] = list(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True))
    return pairs


def make_starter(
    pairs: Pairs, folder: Path, *, vocabulary: int = VOCABULARY, landmarks: int = LANDMARKS
) -> None:
    """Train the starter model and write its sentence-transformers folder.

    Args:
        pairs: by corpus.
        folder: where to write; created, must not exist.
        vocabulary: pieces at most.
        landmarks: as `morpheme_vectors` takes them.
    """
    from search.encoders import read_modules
    from search.static import read_weights, save_static_model, train_unigram
    from training.finetune import finetune
    from training.fit import TrainConfig, TrainingRow
    from training.kiwi_vectors import (
        analyse_words,
        dictionary_words,
        morpheme_vectors,
        open_kiwi,
        piece_vectors,
    )

    texts = sorted({text for of_corpus in pairs.values() for pair in of_corpus for text in pair})
    kiwi = open_kiwi()
    vectors, rows = morpheme_vectors(kiwi, landmarks=landmarks)
    logger.info("%d morphemes with %d-dimensional vectors", *vectors.shape)
    words = sorted(dictionary_words(kiwi, rows))
    tokenizer = train_unigram([*texts, *words], vocabulary=vocabulary, coverage=COVERAGE)
    logger.info("%d pieces", tokenizer.get_vocab_size())
    table = piece_vectors(tokenizer, analyse_words(kiwi, texts, rows), vectors)
    with tempfile.TemporaryDirectory() as place:
        base, fit = Path(place) / "base", Path(place) / "fit"
        save_static_model(base, tokenizer, table)
        finetune(
            base,
            {
                name: [TrainingRow(a, b) for a, b in of_corpus]
                for name, of_corpus in pairs.items()
                if CORPORA[name].pairs
            },
            TrainConfig(
                epochs=3,
                batch_size=2048,
                learning_rate=0.002,
                temperature=0.08,
                warmup_share=0.05,
                symmetric=True,
                token_dropout=0.15,
            ),
            fit,
            evaluate=None,
        )
        trained = fit / "model"
        save_static_model(
            folder, tokenizer, read_weights(trained / read_modules(trained)[0]["path"])
        )


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a starter folder's weights and tokenizer together."""
    from search.encoders import read_modules

    hasher = hashlib.sha256()
    inside = folder / read_modules(folder)[0]["path"]
    for name in ("model.safetensors", "tokenizer.json"):
        hasher.update((inside / name).read_bytes())
    return hasher.hexdigest()


def main() -> int:
    """Make the starter and compare it with the bundled one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpora", type=Path, help="folder of the pair files")
    parser.add_argument("out", type=Path, help="folder to write; must not exist")
    parser.add_argument("--threads", type=int, default=1, help="1 (default) is reproducible")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)  # before numpy and torch are imported
    started = time.monotonic()
    try:
        if arguments.out.exists():
            raise UsageError(f"{arguments.out} exists; name a folder to be made.")
        pairs = read_corpora(arguments.corpora)
        make_starter(pairs, arguments.out)
    except DotbogiError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    from search.models import STARTER_FOLDER

    found, bundled = weights_digest(arguments.out), weights_digest(STARTER_FOLDER)
    logger.info("%s made in %.0f s", arguments.out, time.monotonic() - started)
    logger.info("SHA-256 of weights and tokenizer: %s", found)
    logger.info("the bundled model's:              %s", bundled)
    logger.info("equal" if found == bundled else "different")
    return 0


if __name__ == "__main__":
    sys.exit(main())
