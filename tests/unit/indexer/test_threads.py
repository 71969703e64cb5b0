import threadpoolctl

from miwake.indexer.threads import pinned_threads


def n_threads() -> list[int]:
    return [one["num_threads"] for one in threadpoolctl.threadpool_info()]


def test_threads_are_limited_inside_and_as_before_behind() -> None:
    with pinned_threads():  # loads what there is to limit
        pass
    with threadpoolctl.threadpool_limits(limits=2):
        before = n_threads()

        with pinned_threads():
            inside = n_threads()

        assert set(inside) == {1}
        assert n_threads() == before
        assert max(before) == 2
