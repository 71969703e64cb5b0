"""All campaigns in their full and their short form, and what must come of each."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

import numpy as np

from faults.controls import POWER_CUT_CONTROLS
from faults.damage import damage_database, damage_station, damage_station_carelessly
from faults.kills import kill_at_fail_points, kill_who_acknowledges_too_early
from faults.outcome import Outcome
from faults.power_cuts import cut_power
from faults.scenarios import make_base
from faults.searchers import search_while_writing
from faults.zygote import Bench, Zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of each is done; of a control that much at most, and if it ``stops_at_harm`` no more than it takes."""

    n_kills: int
    n_power_cuts: int
    n_damages: int
    n_database_damages: int
    n_control: int
    searching_s: float
    stops_at_harm: bool


FULL = Sizes(
    n_kills=300,
    n_power_cuts=1_000,
    n_damages=2_000,
    n_database_damages=500,
    n_control=100,
    searching_s=60.0,
    stops_at_harm=False,
)
SHORT = Sizes(
    n_kills=12,
    n_power_cuts=36,
    n_damages=60,
    n_database_damages=20,
    n_control=60,
    searching_s=0.5,
    stops_at_harm=True,
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one campaign, or one negative control, has found."""

    name: str
    outcome: Outcome
    seconds: float
    is_control: bool = False

    @property
    def is_good(self) -> bool:
        """Whether no harm was found; of a negative control, whether some was."""
        return self.outcome.bad > 0 if self.is_control else self.outcome.bad == 0


class Campaign:
    """The campaigns over one base: a station of two generations.

    Parameters
    ----------
    folder : Path
        An empty folder; a path without links.
    """

    def __init__(self, folder: Path, sizes: Sizes, *, seed: int = 0) -> None:
        self._folder = folder
        self._sizes = sizes
        self._seed = seed
        self._base = folder / "base"
        self._world = make_base(self._base)
        self._work = folder / "work"
        self._work.mkdir()
        self._processes = ExitStack()

    def close(self) -> None:
        """End the processes."""
        self._processes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _bench(self) -> Bench:
        zygote = self._processes.enter_context(Zygote(self._folder, self._base))
        return Bench(zygote, self._base, self._world, self._work)

    def kills(self) -> Iterator[Row]:
        """Kill processes at fail points."""
        sizes = self._sizes
        yield _timed("kills", lambda: kill_at_fail_points(self._bench, sizes.n_kills, self._rng()))
        yield _timed(
            "control: acknowledged too early",
            lambda: kill_who_acknowledges_too_early(
                self._bench, sizes.n_control, self._rng(), stops_at_harm=sizes.stops_at_harm
            ),
            is_control=True,
        )

    def power_cuts(self) -> Iterator[Row]:
        """Replay power cuts."""
        sizes = self._sizes
        yield _timed("power cuts", lambda: cut_power(self._bench, sizes.n_power_cuts, self._rng()))
        for control in POWER_CUT_CONTROLS:
            run = partial(
                cut_power,
                self._bench,
                sizes.n_control,
                self._rng(),
                control=control,
                stops_at_harm=sizes.stops_at_harm,
            )
            yield _timed(f"control: {control}", run, is_control=True)

    def damage(self) -> Iterator[Row]:
        """Damage files."""
        common = (self._base, self._work)
        yield _timed("damage", lambda: damage_station(*common, self._sizes.n_damages, self._rng()))
        yield _timed(
            "control: opened without hashes",
            lambda: damage_station_carelessly(*common, self._sizes.n_control, self._rng()),
            is_control=True,
        )
        yield _timed("database damage", lambda: damage_database(*common, self._sizes.n_database_damages, self._rng()))

    def searchers(self) -> Iterator[Row]:
        """Search while another process writes."""
        start = time.perf_counter()
        found, control = search_while_writing(self._base, self._work, self._sizes.searching_s, self._seed)
        seconds = time.perf_counter() - start
        yield Row("searchers", found, seconds)
        yield Row("control: judged by another revision", control, 0.0, is_control=True)

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)


def _timed(name: str, run: Callable[[], Outcome], *, is_control: bool = False) -> Row:
    start = time.perf_counter()
    outcome = run()
    return Row(name, outcome, time.perf_counter() - start, is_control)
