"""`--model scratch`: an untrained static-embedding model made for one collection."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import DotbogiError
from indexes.store import write_json
from search.encoders import UNTRAINED_MARK

DIM = 256
VOCABULARY = 8_000  # pieces at most; a small collection yields fewer
UNKNOWN = "[UNK]"
_LONGEST = 10_000  # characters of a text that pieces are learned from


def save_scratch_model(texts: Sequence[str], folder: Path, *, seed: int = 0) -> None:
    """Write a StaticEmbedding folder whose Unigram pieces come from `texts`, with random vectors.

    A piece's vector is as long as the piece is informative, −log p(piece): before training,
    cosine then is a soft count of shared pieces in which rare ones weigh more, as in BM25.
    Training gives the pieces their meaning. The same texts and seed give the same folder.

    Args:
        texts: the collection's answers and known questions.
        folder: where to write; created.
        seed: of the random vectors.
    """
    from safetensors.numpy import save_file

    letters = {letter for text in texts for letter in text}
    tokenizer = train_unigram(texts, vocabulary=max(VOCABULARY, len(letters) + VOCABULARY // 2))
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    information = -np.asarray([log_probability for _, log_probability in pieces], np.float32)
    information[0] = information[1:].min()  # of what is unknown, nothing is known
    weights = np.random.default_rng(seed).standard_normal((len(pieces), DIM), dtype=np.float32)
    weights *= (information / information.max())[:, None]
    inside = folder / "0_StaticEmbedding"
    inside.mkdir(parents=True)
    save_file({"embedding.weight": weights}, inside / "model.safetensors")
    tokenizer.save(str(inside / "tokenizer.json"))
    module = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
    write_json(
        folder / "modules.json",
        [{"idx": 0, "name": "0", "path": inside.name, "type": module}],
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
            UNTRAINED_MARK: True,
        },
    )


def train_unigram(texts: Sequence[str], *, vocabulary: int) -> Any:
    """Return a tokenizers.Tokenizer with Unigram pieces learned from the texts (Kudo 2018).

    The pieces are learned by sentencepiece on one thread: the trainer of `tokenizers` itself
    sums in an order that changes from run to run, and its pieces' scores with it.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    normalized = sorted({normalizer.normalize_str(text[:_LONGEST]) for text in texts})
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(normalized),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocabulary,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            split_digits=True,
            num_threads=1,
            max_sentence_length=16 * _LONGEST,  # bytes; NFKC may lengthen a text
            unk_id=0,
            unk_piece=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DotbogiError(
            f"no model can be made from these {len(normalized)} texts "
            f"({str(error).splitlines()[0][:120]}). Name a model with --model."
        ) from error
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [
        (pieces.id_to_piece(number), pieces.get_score(number))
        for number in range(pieces.get_piece_size())
    ]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=0))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.Metaspace()
    # Rebuilt from its own text, so that a saved tokenizer and this one are the same to the byte.
    return Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str())))
