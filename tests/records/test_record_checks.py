"""What a report cannot show is refused where the record is read, by file and reason."""

from dataclasses import replace

import numpy as np
import pytest

from sprec.records.encoded_ids import encode_ids
from sprec.records.record_checks import MOST_ITEMS, check_record, load_checked
from sprec.records.record_file import RecordError
from sprec.records.recorded_items import RecordedItem
from sprec.records.run_record import Evaluation, SampledUser
from tests.records.test_run_record import RECORD

LISTS = np.array([[3, 1], [1, -1], [3, 1]])
EVALUATION = Evaluation(
    *("SPRec", 1, 3, 2, {"hr@1": 0.5, "ndcg@2": 0.5, "off_catalog": 0.1}, "grounded", "test"),
    lists=encode_ids(LISTS),
)
ITEMS = {"1": RecordedItem("Ran (1985)", (), 4), "3": RecordedItem("Heat (1995)", ("Crime",), 5)}


def whole(**changes):
    """Return a finished record of three users with lists of two; one target is not in the catalogue."""
    fields = {
        "finished": "2025-01-02T04:04:05Z",
        "status": "finished",
        "evaluations": (EVALUATION,),
        "targets": encode_ids(np.array([[3], [-1], [1]])),
        "items": ITEMS,
        "history_genres": {"Crime": 1.0},
        "sampled_users": (SampledUser(2, (3, 1), 1),),
    }
    return replace(RECORD, **(fields | changes))


def scored(**changes):
    return whole(evaluations=(replace(EVALUATION, **changes),))


@pytest.mark.parametrize(
    "record",
    [
        whole(),
        RECORD,
        whole(status="failed", evaluations=(), items={}, targets="", sampled_users=(), finished=None),
        scored(lists=""),
        whole(items={}, history_genres={}),
        scored(lists="", n=0, n_in_catalog=0, scores={}),
    ],
    ids=["whole", "running", "failed", "no lists", "no items", "nobody scored"],
)
def test_records_that_lack_parts_are_read(record):
    check_record(record)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (whole(started="last week"), "field 'started' is 'last week', no ISO 8601 time with its zone"),
        (whole(finished="2025-01-02T04:04:05"), "field 'finished' is '2025-01-02T04:04:05', no ISO 8601"),
        (scored(n=0, n_in_catalog=0), "evaluation 'SPRec' has scores of 0 users"),
        (scored(scores={"hr@0": 1.0}), "evaluation 'SPRec' has a score of lists without a place"),
        (scored(lists="not base64!"), "evaluation 'SPRec': these are no encoded lists"),
        (whole(targets=EVALUATION.lists[:-8]), "targets: these are no encoded lists of 1 items"),
        (
            scored(lists=encode_ids(LISTS[:2])),
            "evaluation 'SPRec' has 4 ids in its lists, not 2 for each of 3 users",
        ),
        (
            scored(scores={"hr@2": 1.0, "hr@10": 1.0}),
            "evaluation 'SPRec' has 6 ids in its lists, not 10 for each of 3 users",
        ),
        (
            whole(targets=encode_ids(np.array([[3], [1]]))),
            "2 targets for evaluation 'SPRec''s 3 users",
        ),
        (
            scored(lists=encode_ids(LISTS + (LISTS == 3))),
            "evaluation 'SPRec': the record does not describe item 4",
        ),
        (
            whole(targets=encode_ids(np.array([[3], [2], [1]]))),
            "targets: the record does not describe item 2",
        ),
        (
            whole(sampled_users=(SampledUser(0, (3, 9), 1),)),
            "sampled users: the record does not describe item 9",
        ),
        (whole(items={}), "evaluation 'SPRec' has lists, but the record describes no item"),
        (
            whole(items={**ITEMS, str(10**12): ITEMS["1"]}),
            f"items have ids from 1 to {10**12}, not below {MOST_ITEMS}",
        ),
        (
            whole(items={}, history_genres={}, targets=encode_ids(np.array([[2**31 - 1]] * 3))),
            f"targets: ids from {2**31 - 1} to {2**31 - 1}, not from -1 to {MOST_ITEMS - 1}",
        ),
        (whole(targets=encode_ids(np.array([[-2]] * 3))), "targets: ids from -2 to -2, not from -1"),
        (
            whole(targets="", sampled_users=(SampledUser(3, (), 1),)),
            "evaluation 'SPRec' has no list for the sampled user 3",
        ),
    ],
)
def test_what_no_report_can_show_is_named(record, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        check_record(record)


def test_the_line_names_file_and_remedy_once(tmp_path):
    file = tmp_path / "run.json"
    scored(lists="not base64!").save(file)
    with pytest.raises(RecordError, match="no encoded lists") as caught:
        load_checked(file)
    assert str(caught.value).startswith(f"{file}: evaluation 'SPRec': ")
    assert str(caught.value).endswith("; run again, or leave the file out")
    assert str(caught.value).count("run again") == 1
    whole().save(file)
    assert load_checked(file).targets == whole().targets


def test_a_cutoff_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="²"):
        check_record(scored(scores={"hr@²": 1.0}))
