"""Small models of transformers, made on the spot; what is trained is trained on the docstrings of Python's library."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # MLflow asks for a model's card when it saves one

import numpy as np
import tokenizers
import torch
import transformers

SUBJECTS = ("decimal", "logging", "pathlib", "statistics")
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


@cache
def paragraphs() -> tuple[tuple[str, str], ...]:
    """Return paragraphs of the standard library's docstrings, and the module that each is about."""
    found = ((" ".join(text.split()), subject) for subject in SUBJECTS for text in _docs(subject))
    return tuple(dict.fromkeys((text, subject) for text, subject in found if len(text) > 20))


def _docs(subject: str) -> Iterator[str]:
    for _, thing in sorted(vars(importlib.import_module(subject)).items()):
        inside = [each for _, each in sorted(vars(thing).items())] if inspect.isclass(thing) else []
        for each in (thing, *inside):
            if inspect.isclass(each) or inspect.isroutine(each):
                yield from (inspect.getdoc(each) or "").split("\n\n")


@cache
def tokenizer(**settings: Any) -> Any:
    """Return a tokenizer of word pieces, trained on the paragraphs; settings replace its own."""
    made: Any = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=1_500, special_tokens=list(SPECIAL.values()), show_progress=False
    )
    made.train_from_iterator([text for text, _ in paragraphs()], trainer)
    ends = [(token, made.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    made.post_processor = tokenizers.processors.BertProcessing(*ends)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, **{**SPECIAL, **settings})


def bert(kind: str, labels: tuple[str, ...] = (), **settings: Any) -> Any:
    """Return a small BERT of a kind, with random weights that are always the same."""
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer()), max_position_embeddings=64, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, id2label=dict(enumerate(labels)) or None,
        label2id={label: index for index, label in enumerate(labels)} or None, **_WIDTH, **settings,
    )  # fmt: skip
    return getattr(transformers, kind)(config).eval()


def embedder(folder: Path) -> Any:
    """Return a small embedder of 32 numbers with random weights that are always the same; its parts are in a folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    for part in (bert("BertModel", initializer_range=0.5), tokenizer()):
        part.save_pretrained(folder)
    first = Transformer(str(folder), max_seq_length=32)
    return SentenceTransformer(modules=[first, Pooling(32), Normalize()], device="cpu", prompts={"query": "find: "})


def save_embedder(folder: Path) -> Path:
    """Save `embedder` with MLflow, and return its folder."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 32))])
    mlflow.sentence_transformers.save_model(
        embedder(folder / "parts"),
        str(folder / "model"),
        signature=ModelSignature(Schema([ColSpec("string", "text")]), outputs),
        pip_requirements=["sentence-transformers"],
    )
    return folder / "model"


@cache
def classifier() -> Any:
    """Return a pipeline that says which module a paragraph is about: trained until it is right for most."""
    model = bert("BertForSequenceClassification", SUBJECTS)
    momenta = [torch.zeros_like(weight) for weight in model.parameters()]
    chosen = torch.Generator().manual_seed(0)
    for _ in range(60):
        rows = [paragraphs()[index] for index in torch.randint(len(paragraphs()), (32,), generator=chosen)]
        given = tokenizer()(
            [text for text, _ in rows], padding=True, truncation=True, max_length=24, return_tensors="pt"
        )
        model(**given, labels=torch.tensor([SUBJECTS.index(subject) for _, subject in rows])).loss.backward()
        with torch.no_grad():  # torch.optim would import for seconds
            for weight, momentum in zip(model.parameters(), momenta, strict=True):
                weight -= 2e-3 * momentum.mul_(0.9).add_(weight.grad).sign()
                weight.grad = None
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer(), device="cpu")


def texts(rows: int, letters: int = 80) -> list[str]:
    """Return the beginnings of paragraphs: no more tokens than the models take."""
    step = len(paragraphs()) // rows
    return [text[:letters] for text, _ in paragraphs()[::step]][:rows]


def gpt() -> Any:
    """Return a small GPT-2 with random weights that are always the same."""
    torch.manual_seed(3)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer()), n_positions=96, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def vit() -> tuple[Any, Any]:
    """Return a small network for images of 32 x 32 with random weights, and what prepares images for it."""
    torch.manual_seed(3)
    labels = dict(enumerate(("left", "middle", "right")))
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_dropout_prob=0.0, id2label=labels,
        label2id={label: index for index, label in labels.items()}, **_WIDTH,
    )  # fmt: skip
    prepare = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return transformers.ViTForImageClassification(config).eval(), prepare


def wav2vec(folder: Path) -> tuple[Any, Any, Any]:
    """Return a small network for speech with random weights, what prepares sounds for it, and its letters."""
    torch.manual_seed(3)
    letters = {letter: index for index, letter in enumerate(("<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefg"))}
    (folder / "vocab.json").write_text(json.dumps(letters))
    config = transformers.Wav2Vec2Config(
        vocab_size=len(letters), conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, pad_token_id=0, **_WIDTH,
    )  # fmt: skip
    prepare = transformers.Wav2Vec2FeatureExtractor(sampling_rate=16_000)
    return (
        transformers.Wav2Vec2ForCTC(config).eval(),
        prepare,
        transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")),
    )
