"""Bad input of hundreds of kinds over all entry points: one line with key or file, none accepted."""

from copy import deepcopy
from functools import cache

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec import run
from sprec.experiment.build import build_components
from sprec.experiment.config import validate_settings

BASE = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.device=cpu", "trainer.threads=1"]
SEED = 20251128
WRONG = {
    bool: ["no", "yes", 1, 0, 2.5, None, [True], {"a": True}],
    int: ["three", True, 1.5, float("nan"), float("inf"), [1], {"a": 1}],
    float: ["half", True, float("nan"), float("-inf"), [0.5], {"a": 0.5}],
    str: [3, True, 1.5, ["a"], {"a": "b"}],
    list: ["text", 3, True, {"a": 1}],
}
"""Values of other types than a setting of each type may have."""


@cache
def config(*words):
    with initialize_config_dir(str(run.CONF), version_base="1.3"):
        container = OmegaConf.to_container(compose("config", [*BASE, *words]), resolve=True)
    container.pop("sweep", None)
    return container


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif value is not None and key != "_target_":
            yield (*path, key), value


def with_value(node, path, value):
    changed = deepcopy(node)
    owner = changed
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return changed


CHOICES = [
    (),
    *((f"negatives={name}",) for name in ("ches", "mixture", "low_exposure", "semantic_similar", "beams")),
    *((f"method={name}",) for name in ("d3", "cft", "rw", "sasrec", "gru4rec", "rosepo")),
    *(("ranking=beam", "decoding=sampled"), ("tracker=wandb",), ("prompt=chat",), ("embeddings=ngrams",)),
]


def bad_values():
    """Yield choices, dotted key and a value of a wrong type: each setting once for each."""
    seen = set()
    for words in CHOICES:
        for path, value in leaves(config(*words)):
            target = config(*words)
            for key in path[:-1]:
                target = target[key]
            name = (target.get("_target_"), path)
            if name in seen:
                continue
            seen.add(name)
            for wrong in WRONG[type(value)]:
                if not (type(wrong) is int and type(value) is float):
                    yield words, path, wrong


def test_no_setting_takes_a_value_of_a_wrong_type():
    kinds, silent, unclear = list(bad_values()), [], []
    for words, path, wrong in kinds:
        key = ".".join(path)
        try:
            build_components(validate_settings(with_value(config(*words), path, wrong)))
            silent.append((words, key, wrong))
        except ValueError as error:
            if path[-1] not in str(error) or "\n" in str(error) or len(str(error)) > 600:
                unclear.append((words, key, wrong, str(error)[:300]))
        except Exception as error:
            unclear.append((words, key, wrong, repr(error)[:300]))
    print(len(kinds))
    assert len(kinds) > 300
    assert silent == []
    assert unclear == []
