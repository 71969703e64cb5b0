"""Generations switched, rolled back and rebuilt under load from several streams."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from miwake.inspection.v1 import index_service_pb2, index_service_pb2_grpc
from soak.callers import Caller
from soak.ledger import FIRST, state, unseen
from soak.parts import Found, details_of, harm_of
from support.serving import open_channel, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soak.world import World

TIMEOUT_S = 120
SIZES = (1, 4, 16, 64)
"""Vectors in a message, of each stream."""

REBUILT_EVERY = 20
"""Of the reloads: the others take a fraction of a second."""

N_BETWEEN = 200
"""Answers on the first stream between two reloads, so that each meets a load."""


def reload_under_load(world: World, n_reloads: int) -> Found:
    """Reload so often while streams are answered, and hold every answer against both generations."""
    with running_server(world.store, world.folder / "reloads.log") as server, open_channel(server.address) as channel:
        stub = index_service_pb2_grpc.IndexServiceStub(channel)
        callers = [Caller(server.address, world, size=size) for size in SIZES]
        for caller in callers:
            caller.start()
        for number, reload in enumerate(islice(_reloads(stub), n_reloads)):
            callers[0].wait_for(N_BETWEEN * (number + 1))
            assert reload
        for caller in callers:
            caller.stop()
        for caller in callers:
            caller.join()
    ledgers = [caller.ledger for caller in callers]
    seen = {name for ledger in ledgers for name in ledger.states}
    return Found(
        n=n_reloads,
        n_answers=sum(ledger.n_answered for ledger in ledgers),
        harm=harm_of(ledgers),
        details=details_of(ledgers),
        unseen=unseen(callers[0].answers, world.expected),
        broken=[] if {state(FIRST, 1), state("", 2)} <= seen else [f"answers of {seen} only"],
    )


def _reloads(stub: index_service_pb2_grpc.IndexServiceStub) -> Iterator[str]:
    """Yield the generation that serves, each time after another reload: back, forth, and now and then a new one."""
    newest = _serving(stub)
    number = 0
    while True:
        number += 1
        if number % 2:
            request = index_service_pb2.RollBackIndexRequest(generation=FIRST)
            yield stub.RollBackIndex(request, timeout=TIMEOUT_S).index.serving
        elif number % REBUILT_EVERY == 0:
            newest = _rebuilt(stub)
            yield newest
        else:
            activate = index_service_pb2.ActivateGenerationRequest(generation=newest)
            yield stub.ActivateGeneration(activate, timeout=TIMEOUT_S).index.serving


def _serving(stub: index_service_pb2_grpc.IndexServiceStub) -> str:
    [index] = stub.ListIndexes(index_service_pb2.ListIndexesRequest(), timeout=TIMEOUT_S).indexes
    return index.serving


def _rebuilt(stub: index_service_pb2_grpc.IndexServiceStub) -> str:
    begun = stub.RebuildIndex(index_service_pb2.RebuildIndexRequest(), timeout=TIMEOUT_S).operation
    watched = stub.WatchOperation(index_service_pb2.WatchOperationRequest(name=begun.name), timeout=TIMEOUT_S)
    *_, last = (response.operation for response in watched)
    assert not last.error, last.error
    return last.generation
