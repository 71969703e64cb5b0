from __future__ import annotations

import io

from rich.console import Console

from miwake.indexer.commands.progress import shown_on


def console(*, is_terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_terminal, width=60)


def text_of(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_elsewhere_than_on_a_terminal_every_tenth_is_a_plain_line() -> None:
    elsewhere = console(is_terminal=False)

    with shown_on(elsewhere) as shown:
        shown.report("embedding")
        for done in range(512, 20_001, 512):
            shown.advance(done, 20_000)

    lines = text_of(elsewhere).splitlines()
    assert lines[:3] == ["embedding", "  2048 of 20000", "  4096 of 20000"]
    assert len(lines) == 10


def test_few_references_are_no_line() -> None:
    elsewhere = console(is_terminal=False)

    with shown_on(elsewhere) as shown:
        shown.report("embedding")
        shown.advance(512, 1000)

    assert text_of(elsewhere) == "embedding\n"


def test_the_tenths_are_told_again_in_the_next_step() -> None:
    elsewhere = console(is_terminal=False)

    with shown_on(elsewhere) as shown:
        shown.advance(10_000, 20_000)
        shown.report("again")
        shown.advance(10_000, 20_000)

    assert text_of(elsewhere) == "  10000 of 20000\nagain\n  10000 of 20000\n"


def test_a_path_in_brackets_is_told_as_it_is() -> None:
    elsewhere = console(is_terminal=False)

    with shown_on(elsewhere) as shown:
        shown.report("reading [bold]data[/bold].parquet")

    assert text_of(elsewhere) == "reading [bold]data[/bold].parquet\n"


def test_on_a_terminal_there_is_a_bar() -> None:
    terminal = console(is_terminal=True)

    with shown_on(terminal) as shown:
        shown.report("embedding")
        shown.advance(512, 2000)

    assert "512/2000" in text_of(terminal)
