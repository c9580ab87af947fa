from sprec.bench.measure import Outcome
from sprec.bench.table import cells


def test_row_says_whether_the_figure_is_reached():
    rates, memory = (6.0, 1.5, 4.0, 3.9, 4.2, 3, 1234.0), (2_000_000_000, 2_900_000_000)
    found = Outcome("SFT step", "rows", "TRL, batch 4", *rates, *memory, 4.0, 0.43, 9.3)
    assert cells(found) == (
        *("SFT step", "6.00 rows", "1.50", "4.0 (3.9–4.2, n=3)", "4 ✓"),
        *("43%", "9.3", "1234", "2.0, 2.9", "TRL, batch 4"),
    )
