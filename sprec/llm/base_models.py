"""Where a base LLM comes from: a wheel with a GGUF file, a hub name, a folder, or a seed."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, Protocol, cast

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from sprec.data.digests import fingerprint
from sprec.data.download.sources import Folder, Source

log = logging.getLogger(__name__)
_COMMIT = re.compile(r"[0-9a-f]{40}")
SPECIAL = ("<unk>", "<s>", "</s>")
TEXT_PART = {r"^language_model\.": "", r"^model\.language_model\.": "model."}
"""Where wrappers that see or hear keep the weights of their language model, and where that has them."""


class WeightSource(Protocol):
    """Writes a base LLM as a transformers folder, weights as safetensors."""

    name: str

    def digest(self, texts: Sequence[str]) -> str:
        """Return the SHA-256, in hex, of all that the weights depend on."""
        ...

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Write model and tokenizer; a tokenizer may be trained on `texts`."""
        ...


@dataclass(frozen=True)
class Gguf:
    """A GGUF file, dequantised once to bfloat16, whose 8 bits of mantissa hold what 4-bit weights carry."""

    name: str
    source: Source
    file: str

    def digest(self, texts: Sequence[str]) -> str:
        """Return the digest of the source and the file name."""
        return fingerprint("gguf", source=self.source.digest(), file=self.file)

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Dequantise and save; needs the package `gguf`."""
        place = next(self.source.fetch().rglob(self.file)).parent
        log.info("reading %s", self.file)
        with redirect_stderr(StringIO()):  # transformers' progress bar has no other switch
            dequantised = transformers.AutoModelForCausalLM.from_pretrained(place, gguf_file=self.file)
        settings = dequantised.config.to_dict()
        settings.pop("quantization_config", None)
        # A model read from GGUF refuses to be saved, hence the copy into a fresh one.
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig.from_dict(settings))
        model.load_state_dict(dequantised.state_dict())
        torch.nn.Module.to(model, torch.bfloat16)
        model.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(place, gguf_file=self.file).save_pretrained(folder)


@dataclass(frozen=True)
class Pretrained:
    """A hub name (`org/model`) with a revision, or a local folder in the transformers layout."""

    name: str
    source: str
    revision: str = "main"

    def digest(self, texts: Sequence[str]) -> str:
        """Return the digest of the folder's files, or of hub name and commit."""
        local = Path(self._place)
        content = Folder(local).digest() if local.is_dir() else f"{self.source}@{self.commit}"
        return fingerprint("pretrained", source=content)

    @cached_property
    def commit(self) -> str:
        """The hub's commit that the revision names now: a branch such as `main` moves on.

        Without a network it is what the revision named at the last download. `ValueError` where neither says.
        """
        if _COMMIT.fullmatch(self.revision):
            return self.revision
        with self._one_line_errors():
            file = transformers.utils.hub.cached_file(self.source, "config.json", revision=self.revision)
            commit = Path(file or "").parent.name
            if not _COMMIT.fullmatch(commit):
                raise ValueError(f"nobody says which commit {self.revision!r} is; name one")
        return commit

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(
                f"base LLM {self.source!r} cannot be loaded ({reason}); set base_llm.weights.source to the "
                "folder or hub name of a causal language model, and weights.revision to a commit of it"
            ) from error

    @property
    def _place(self) -> str:
        """The folder, without a shell's ~, or the hub name."""
        local = Path(self.source).expanduser()
        return str(local) if local.is_dir() else self.source

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Copy model and tokenizer; reads safetensors alone and runs no code from the hub."""
        is_local = Path(self._place).is_dir()
        options = {"trust_remote_code": False, **({} if is_local else {"revision": self.commit})}
        with self._one_line_errors():
            model, missing = _load_causal_lm(self._place, options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(self._place, **options)
        if missing:
            raise ValueError(
                f"base LLM {self.source!r} lacks {len(missing)} weights of a {type(model).__name__}, such as "
                f"{min(missing)}; choose an edition for text alone"
            )
        model.generation_config = plain_generation(model)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def plain_generation(model: Any) -> transformers.GenerationConfig:
    """Return settings of `generate` that say where a text begins and ends, and leave logits as they are.

    A checkpoint's own may hold more, such as a penalty on repeated tokens: then stock `generate` would write
    other titles than this project, which reads none of them.
    """
    settings: Any = transformers.GenerationConfig  # its constructor is untyped
    own = getattr(model, "generation_config", None) or settings()
    plain: transformers.GenerationConfig = settings(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )
    return plain


def _load_causal_lm(source: str, options: dict[str, Any]) -> tuple[Any, set[str]]:
    """Return the model, of a wrapper with other senses its text part, and names of weights that it lacks."""
    config = transformers.AutoConfig.from_pretrained(source, **options)
    if config.is_encoder_decoder:
        raise ValueError(f"{config.model_type} is an encoder-decoder")
    text, load = config.get_text_config(), cast("Any", transformers.AutoModelForCausalLM)
    mapping = TEXT_PART if text is not config else None
    # transformers initialises at random what a checkpoint lacks, and goes on; here that is an error.
    model, info = load.from_pretrained(
        source,
        config=text,
        key_mapping=mapping,
        output_loading_info=True,
        use_safetensors=True,
        dtype="auto",
        **options,
    )
    if mapping:  # saving would undo the mapping, hence a fresh model
        loaded, model = model, load.from_config(text, dtype=model.dtype)
        model.load_state_dict(loaded.state_dict())
    return model, set(info["missing_keys"])


@dataclass(frozen=True)
class TinyLlama:
    """A small Llama of random weights with a tokenizer trained on the catalogue; downloads nothing."""

    name: str
    hidden: int
    layers: int
    heads: int
    vocabulary: int
    seed: int = 0

    def digest(self, texts: Sequence[str]) -> str:
        """Return the digest of the sizes, the seed and the texts."""
        return fingerprint("tiny", **self.__dict__, texts=list(texts))

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Train the tokenizer, initialise the weights from the seed, save both."""
        tokenizer = _train_tokenizer(texts, self.vocabulary)
        tokenizer.save_pretrained(folder)
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            intermediate_size=4 * self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            transformers.LlamaForCausalLM(config).save_pretrained(folder)


def _train_tokenizer(texts: Sequence[str], vocabulary: int) -> transformers.PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on these texts; like Llama's it has no padding token."""
    bpe = Tokenizer(models.BPE(unk_token=SPECIAL[0]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    start = SPECIAL[1]  # stands before every text, as with Llama
    bpe.post_processor = processors.TemplateProcessing(single=f"{start} $A", special_tokens=[(start, 1)])
    wrap: Any = transformers.PreTrainedTokenizerFast  # its constructor is untyped
    tokenizer: transformers.PreTrainedTokenizerFast = wrap(
        tokenizer_object=bpe, unk_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2]
    )
    return tokenizer
