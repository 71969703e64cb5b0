from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import NoRoomError
from miwake.indexer.storage.room import check_room, generation_bytes

if TYPE_CHECKING:
    from pathlib import Path

EXABYTE = 10**18


def test_too_little_room_is_told_with_what_is_needed_and_free(tmp_path: Path) -> None:
    with pytest.raises(NoRoomError, match=r"needs about 1,000,000,000,000 MB, [\d,]+ MB are free") as caught:
        check_room(tmp_path, EXABYTE)

    assert caught.value.needed == EXABYTE
    assert 0 < caught.value.free < EXABYTE


def test_enough_room_is_no_error(tmp_path: Path) -> None:
    check_room(tmp_path, 1)


def test_a_generation_takes_at_least_its_numbers() -> None:
    assert generation_bytes(1000, n_values=1404, n_dimensions=128) > 1000 * 4 * (1404 + 128 + 128)
