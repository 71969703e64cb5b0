"""What is known of a stream against a plain list of everything, whatever calls come, break and go on."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from miwake.server.stream_state import Share, StreamState

WINDOW = 8
LARGEST = 5
SIZES = st.integers(1, LARGEST)


class StreamModel(RuleBasedStateMachine):
    """``received`` is what the caller has, ``shares`` all that was answered, ``told`` what became of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.state: StreamState[list[int]] = StreamState(window=WINDOW, keeps=True)
        self.received: list[int] = []
        self.n_sequence = 0
        self.is_cut = False
        self.begin(0)

    def begin(self, first: int) -> None:
        """Know of a stream from ``first`` on, and of nothing before."""
        self.first = first
        self.n_accepted = self.n_answered = self.n_taken = self.n_ever_taken = self.n_next = first
        self.n_acknowledged = first
        self.shares: list[Share[list[int]]] = []
        self.told: dict[int, bool] = {}
        self.has_failed = False

    @rule(n_vectors=st.integers(0, LARGEST), back=st.integers(-2, WINDOW), is_named=st.booleans())
    def send(self, n_vectors: int, back: int, *, is_named: bool) -> None:
        first = max(self.n_accepted - back, 0) if is_named else self.n_next
        accepted = self.state.look_at(first if is_named else None, n_vectors)
        if first > self.n_accepted:
            assert accepted is None
            return
        assert accepted is not None
        new = [one for one in range(first, first + n_vectors) if one >= self.n_accepted]
        assert (accepted.n_new, accepted.n_passed_over) == (len(new), n_vectors - len(new))
        assert accepted.first_sequence == (new[0] if new else first + n_vectors)
        self.state.accept(accepted)
        self.n_accepted += len(new)
        self.n_next = first + n_vectors

    @precondition(lambda self: self.n_answered < self.n_accepted)
    @rule(size=SIZES, is_held=st.booleans())
    def compute(self, size: int, *, is_held: bool) -> None:
        answers = list(range(self.n_answered, min(self.n_answered + size, self.n_accepted)))
        share = self.state.answer(answers, len(answers), is_held=is_held, is_to_be_recorded=True)
        self.shares.append(share)
        self.n_answered += len(answers)

    @rule(is_cut=st.booleans())
    def take(self, *, is_cut: bool) -> None:
        taken = self.state.take()
        pending = [share for share in self.shares if share.end > self.n_taken]
        if not pending or pending[0].is_held:
            assert taken is None
            return
        assert taken is not None
        share, n_left_out = taken
        assert share is pending[0]
        answers = share.payload[n_left_out:]
        assert answers == list(range(self.n_taken, share.end))
        self.n_taken = share.end
        self.n_ever_taken = max(self.n_ever_taken, share.end)
        self.is_cut = self.is_cut or is_cut
        if not self.is_cut:
            self.received.extend(answers)

    @precondition(lambda self: not self.is_cut)
    @rule(back=st.integers(-1, LARGEST))
    def acknowledge(self, back: int) -> None:
        n_received = max(len(self.received) - back, self.first)
        is_possible = n_received <= self.n_ever_taken
        assert self.state.acknowledge(n_received) == is_possible
        if is_possible:
            self.n_acknowledged = max(self.n_acknowledged, n_received)

    @rule()
    def go_on_in_a_new_call(self) -> None:
        n_received = len(self.received)
        if self.state.can_go_on_from(n_received):
            self.state.go_on_from(n_received)
            self.n_taken = self.n_next = n_received
        else:
            # Only what lies more than a window back may be forgotten before it is acknowledged.
            assert n_received < self.n_taken - WINDOW
            self.state = StreamState(window=WINDOW, keeps=True, n_received=n_received)
            self.begin(n_received)
        self.is_cut = False

    @precondition(lambda self: len(self.told) < len(self.shares))
    @rule(place=st.integers(0, 100), is_recorded=st.sampled_from([True, True, True, False]))
    def tell(self, place: int, *, is_recorded: bool) -> None:
        open_places = [one for one in range(len(self.shares)) if one not in self.told]
        chosen = open_places[place % len(open_places)]
        self.state.tell_recorded(self.shares[chosen], is_recorded=is_recorded)
        if not is_recorded and not self.has_failed:
            self.has_failed = True
            self.n_recorded_at_most = self.n_recorded()
        self.told[chosen] = is_recorded

    def n_recorded(self) -> int:
        done = self.first
        for place, share in enumerate(self.shares):
            if not self.told.get(place, False):
                break
            done = share.end
        return done

    @invariant()
    def the_caller_has_everything_once_and_in_order(self) -> None:
        assert self.received == list(range(len(self.received)))

    @invariant()
    def what_it_knows_is_what_happened(self) -> None:
        state = self.state
        assert (state.n_accepted, state.n_answered, state.n_taken) == (self.n_accepted, self.n_answered, self.n_taken)
        assert state.is_answered == (self.n_taken == self.n_accepted)
        assert state.n_sent <= state.n_taken <= state.n_answered <= state.n_accepted
        assert state.has_room == (state.n_accepted - state.n_sent < WINDOW)
        assert not state.can_go_on_from(self.n_ever_taken + 1)
        assert state.n_recorded == (self.n_recorded_at_most if self.has_failed else self.n_recorded())

    @invariant()
    def it_keeps_no_more_than_a_window_of_what_was_sent(self) -> None:
        kept = sum(len(share) for share in self.state.shares() if share.end <= self.state.n_sent)
        assert kept < WINDOW + LARGEST

    def teardown(self) -> None:
        """Answer all, in a last call that does not break: the caller then has everything."""
        for place, share in enumerate(self.shares):
            if place not in self.told:
                self.state.tell_recorded(share, is_recorded=True)
        self.go_on_in_a_new_call()
        n_wanted = self.n_accepted
        if self.n_answered < n_wanted:
            self.compute(n_wanted, is_held=False)
        while not self.state.is_answered:
            self.take(is_cut=False)
        assert self.received == list(range(n_wanted))


def test_whatever_breaks_every_answer_comes_once_and_in_order() -> None:
    run_state_machine_as_test(StreamModel, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


def test_a_stream_that_cannot_be_taken_up_again_keeps_nothing_that_was_taken() -> None:
    state: StreamState[str] = StreamState(window=WINDOW, keeps=False)
    accepted = state.look_at(None, 3)
    assert accepted is not None
    state.accept(accepted)
    state.answer("abc", 3)

    assert state.take() is not None
    assert list(state.shares()) == []
