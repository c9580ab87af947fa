"""Commands beside `sprec.run`: a mistyped word and a wrong input are one line each, with exit status 2."""

import pytest

from sprec import export, recommend, score
from sprec.command_line import CommandParser, run_command
from sprec.report import __main__ as report
from sprec.store import __main__ as store


@pytest.mark.parametrize(
    ("command", "words", "line"),
    [
        (
            report.main,
            ["--table", "abaltion"],
            "sprec.report: --table: invalid choice: 'abaltion' (choose from ",
        ),
        (report.main, ["--digits", "x"], "sprec.report: --digits: invalid int value: 'x'"),
        (report.main, ["figures"], "sprec.report figures: the following arguments are required: --output"),
        (
            report.main,
            ["page", "x", "--outptu", "y"],
            "sprec.report page: unrecognized arguments: --outptu y",
        ),
        (report.main, ["dashboard", "--what"], "sprec.report dashboard: unrecognized arguments: --what"),
        (
            report.main,
            ["wandb-sweep"],
            "sprec.report wandb-sweep: the following arguments are required: sweep",
        ),
        (store.main, ["--older-than"], "sprec.store: --older-than: expected one argument"),
        (score.main, [], "sprec.score: the following arguments are required: FILE, --data"),
        (export.main, ["--run", "x"], "sprec.export: the following arguments are required: --output"),
        (recommend.main, ["--run"], "sprec.recommend: --run: expected one argument"),
    ],
)
def test_a_mistyped_word_is_one_line(capsys, command, words, line):
    with pytest.raises(SystemExit) as ended:
        command(words)
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert captured.err.startswith(line)
    assert captured.err.endswith("; --help shows all options\n")
    assert captured.err.count("\n") == 1


def test_an_error_of_several_lines_is_one_and_a_bug_keeps_its_trace(capsys):
    def work(options):
        raise {"input": ValueError, "model": RuntimeError, "bug": KeyError}[options.kind]("no\n  such thing")

    parser = CommandParser("sprec.example", "An example.")
    parser.add_argument("kind")
    assert run_command(parser, ["input"], work) == 2
    assert run_command(parser, ["model"], work, RuntimeError) == 2
    assert capsys.readouterr().err == "sprec.example: no such thing\n" * 2
    with pytest.raises(RuntimeError):
        run_command(parser, ["model"], work)
    with pytest.raises(KeyError):
        run_command(parser, ["bug"], work)
