from __future__ import annotations

import pytest
import torch

from miwake.training.device import device_of, embedding_of, in_bfloat16
from miwake.training.errors import SettingsError


def test_auto_takes_the_gpu_only_where_there_is_one() -> None:
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_of("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(SettingsError, match="setting device: 'cuda', but PyTorch sees no GPU"):
        device_of("cuda")


def test_the_cpu_computes_in_full_precision() -> None:
    body = torch.nn.Linear(2, 2)
    assert embedding_of(body, torch.device("cpu")) is body


def test_bfloat16_is_for_the_products_and_embeddings_come_back_as_float32() -> None:
    torch.manual_seed(0)
    body, vectors = torch.nn.Linear(64, 8), torch.rand(4, 64)
    found = in_bfloat16(body, torch.device("cpu"))(vectors)
    assert found.dtype == torch.float32
    difference = (found - body(vectors)).abs().max()
    assert 0 < difference < 0.02
