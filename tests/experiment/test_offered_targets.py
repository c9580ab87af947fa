"""A stranger's record chooses among what is offered, and names no code of its own."""

import pytest

from sprec.experiment.offered_targets import check_offered

RANDOM = {"_target_": "sprec.negatives.Random"}
GOOD = {"negatives": {"_target_": "sprec.negatives.Mixture", "parts": {"a": RANDOM}}, "seed": 3}
T = r"embeddings\._target_ is "


def test_what_conf_offers_passes():
    check_offered(GOOD)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "pathlib.Path.write_text", "self": "x", "data": "y"},
            T + "'pathlib",
        ),
        ({"_target_": "os.system", "command": "true"}, T + "'os.system'"),
        ({"_target_": "builtins.exec", "_args_": ["1"]}, T + "'builtins.exec'"),
        ({"_target_": ["os.system"]}, T + ""),
        (
            {"_target_": "sprec.negatives.Random", "_args_": [1]},
            T + "'sprec.negatives.Random'",
        ),
        (
            {"deep": [{"er": {"_target_": "shutil.rmtree", "path": "/x"}}]},
            r"embeddings\.deep\[0\]\.er\._target_",
        ),
        (
            {"_target_": "sprec.store.store.Store", "root": "/x"},
            T + "'sprec.store.store.Store'",
        ),
        (
            {"_target_": "sprec.data.download.sources.Wheel", "name": "evil-package", "version": "1"},
            "embeddings.name is 'evil-package', which conf/ does not offer; a record may name no other",
        ),
        ({"_target_": "sprec.data.download.sources.Wheel", "name": "pro"}, "embeddings.name is 'pro'"),
        (
            {"_target_": "sprec.data.download.sources.Archive", "url": "https://evil.example/x.zip"},
            "embeddings.url is 'https://evil.example/x.zip'",
        ),
    ],
)
def test_other_code_and_other_downloads_are_refused_by_name(node, message):
    with pytest.raises(ValueError, match=message):
        check_offered({**GOOD, "embeddings": node})


@pytest.mark.parametrize("value", ["${oc.env:HF_TOKEN}", ["${seed}"]])
def test_a_record_holds_no_interpolations(value):
    """Hydra resolves them as it builds, and would read secrets of this machine into a name that is sent."""
    with pytest.raises(ValueError, match=r"weights\.source.* is '\$\{"):
        check_offered({**GOOD, "weights": {"source": value}})
