"""How the rows of a step go round the processes, and what one process alone gets."""

import pytest
import torch

from sprec.llm.token_rows import microbatches
from sprec.training import distributed

WIDTHS = [5, 90, 7, 40, 41, 6, 88]


@pytest.fixture
def among(monkeypatch):
    """Return what each of so many processes gets."""

    def among(count, widths, tokens=100, **options):
        monkeypatch.setattr(distributed, "world_size", lambda: count)
        actual = []
        for rank in range(count):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            actual.append(distributed.own_microbatches(widths, tokens, **options))
        return actual

    return among


def test_one_process_gets_the_microbatches_of_all_rows():
    assert distributed.own_microbatches(WIDTHS, 100) == microbatches(WIDTHS, 100)


def test_every_row_is_one_processes_and_the_longest_go_round_first(among):
    first, second = among(2, WIDTHS)
    assert first == [[1], [4, 2], [0]]
    assert second == [[6], [3, 5]]


def test_a_process_may_get_no_row(among):
    assert among(3, [9, 8]) == [[[0]], [[1]], []]


def test_processes_that_share_out_weights_get_equally_many_microbatches(among):
    assert among(3, [9, 8], even=True) == [[[0]], [[1]], [[]]]
    assert among(2, [90, 7, 6, 5], tokens=20, even=True) == [[[0], [2]], [[1, 3], []]]


def test_nothing_changes_where_one_process_sums():
    values = torch.tensor([1.0, 2.0])
    weight = torch.nn.Parameter(values)
    distributed.sum_gradients([weight])
    assert weight.grad is None
    assert distributed.sum_over_processes(values) is values
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
