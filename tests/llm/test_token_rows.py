import pytest

from sprec.llm.token_rows import TokenRow, microbatches, with_loss_on


def test_learning_moves_what_differs_between_prompts_into_the_answer():
    rows = [TokenRow((1, 2, 3, 4), ((7, 8),)), TokenRow((1, 2, 5), ((9,),))]
    assert with_loss_on(rows, "title") == rows
    assert with_loss_on(rows, "history") == [TokenRow((1, 2), ((3, 4, 7, 8),)), TokenRow((1, 2), ((5, 9),))]
    assert with_loss_on(rows, "sequence") == [
        TokenRow((1,), ((2, 3, 4, 7, 8),)),
        TokenRow((1,), ((2, 5, 9),)),
    ]
    with pytest.raises(ValueError, match="titles alone"):
        with_loss_on([TokenRow((1, 2), ((3,), (4,)))], "history")


def test_microbatches_keep_every_row_once_within_the_budget():
    rows = [TokenRow(tuple(range(1, n + 1)), ((5, 6),)) for n in (3, 9, 4, 20)]
    groups = microbatches([row.width for row in rows], tokens=20)
    assert sorted(i for group in groups for i in group) == [0, 1, 2, 3]
    assert groups == [[3], [1], [2, 0]] or all(len(g) * max(rows[i].width for i in g) <= 21 for g in groups)
