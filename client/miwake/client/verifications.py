"""1:1 verification: pairs of vectors to requests, and what comes back to dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import TYPE_CHECKING

from miwake.client.errors import InvalidQueryError, ProtocolError
from miwake.client.packed_vectors import pack_batch, pack_context
from miwake.client.unpacking import unpack_context, unpack_error, unpack_provenance
from miwake.inspection.v1 import verification_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.client.answers import ItemError, Provenance
    from miwake.client.inspections import InspectionContext, Vectors


class PairMember(IntEnum):
    """One of the two vectors of a pair; ``UNSPECIFIED``: neither alone."""

    UNSPECIFIED = 0
    QUERY = 1
    REFERENCE = 2


class PairDistance(IntEnum):
    """A distance between two vectors; ``UNSPECIFIED`` is one that only a newer client knows."""

    UNSPECIFIED = 0
    MATCH = 1
    EUCLIDEAN = 2
    COSINE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationThreshold:
    """What decided, and what was measured of it on the station's calibration parts.

    Attributes
    ----------
    distance : PairDistance
        The distance that decides.
    at_most : float
        Two vectors are the same where it is at most this.
    max_false_accept_rate : float or None
        What is promised; None where nothing is.
    false_accept_rate, false_reject_rate : float
        Shares of the pairs of different classes that are taken for the same, and the other way round.
    n_impostor_pairs, n_genuine_pairs, n_parts : int
        Pairs of different classes and of the same, and the parts of their queries.
    """

    distance: PairDistance
    at_most: float
    max_false_accept_rate: float | None
    false_accept_rate: float
    false_reject_rate: float
    n_impostor_pairs: int
    n_genuine_pairs: int
    n_parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found of a pair.

    Attributes
    ----------
    is_same : bool
        Whether the two are taken for the same class.
    probability : float
        Calibrated, that they are, where that is as likely as not beforehand.
    beta, eta, gamma : float
        SOART3 scale, deviation and spread: how well the reference explains the query.
    match_distance : float
        In [0, 1).
    distance, cosine_distance : float
        Euclidean, and one minus the cosine; in embedding space.
    """

    is_same: bool
    probability: float
    beta: float
    eta: float
    gamma: float
    match_distance: float
    distance: float
    cosine_distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnswer:
    """The answer to one pair: a verification or an error, never both, never neither.

    Attributes
    ----------
    id : text
    sequence : int
        Position in the request, from 0.
    verification : Verification or None
    error : ItemError or None
    error_member : PairMember
        Which of the two the error is about.
    threshold : VerificationThreshold
        What decided.
    provenance : Provenance
        What answered.
    context : InspectionContext or None
        What was said about the query's part.
    """

    id: str
    sequence: int
    verification: Verification | None
    error: ItemError | None
    error_member: PairMember
    threshold: VerificationThreshold
    provenance: Provenance
    context: InspectionContext | None


DISTANCES = {int(distance): distance for distance in PairDistance}
MEMBERS = {int(member): member for member in PairMember}


def verify_request(
    queries: Vectors,
    references: Vectors,
    *,
    station: str,
    ids: Sequence[str] | None,
    context: InspectionContext | None,
    max_false_accept_rate: float | None,
) -> verification_pb2.VerifyRequest:
    """Return the request for some pairs.

    Raises
    ------
    InvalidQueryError
        As ``pack_batch``, saying of which side; if there are not as many references as queries, or the rate is none.
    """
    if len(queries) != len(references):
        message = f"{len(references)} references, expected {len(queries)}: one for each query"
        raise InvalidQueryError(message)
    if ids is not None and len(ids) != len(queries):
        message = f"{len(ids)} ids, expected {len(queries)}: one for each pair"
        raise InvalidQueryError(message)
    if max_false_accept_rate is not None and not (
        isinstance(max_false_accept_rate, int | float) and isfinite(max_false_accept_rate)
    ):
        message = f"max_false_accept_rate {max_false_accept_rate!r}, expected a number above 0 and at most 1"
        raise InvalidQueryError(message)
    sides = []
    for name, vectors in (("queries", queries), ("references", references)):
        try:
            sides.append(pack_batch(vectors, None, with_templates=False))
        except InvalidQueryError as error:
            message = f"{name}: {error}"
            raise InvalidQueryError(message) from error
    names = [query.id for query in sides[0]] if ids is None else ids
    return verification_pb2.VerifyRequest(
        station=station,
        context=None if context is None else pack_context(context),
        pairs=[
            verification_pb2.VectorPair(id=name, query=query.message, reference=reference.message)
            for name, query, reference in zip(names, *sides, strict=True)
        ],
        max_false_accept_rate=max_false_accept_rate,
    )


def unpack_verify(response: verification_pb2.VerifyResponse, n_pairs: int) -> list[PairAnswer]:
    """Return the answers to ``n_pairs`` pairs.

    Raises
    ------
    ProtocolError
        If there is not one for each, in order, each with a verification or an error; or no threshold.
    """
    if len(response.answers) != n_pairs or not response.HasField("threshold"):
        text = f"{len(response.answers)} answers to {n_pairs} pairs, or no threshold"
        raise ProtocolError(text)
    threshold = _unpack_threshold(response.threshold)
    provenance = unpack_provenance(response)
    return [_unpack_pair(message, sequence, threshold, provenance) for sequence, message in enumerate(response.answers)]


def _unpack_pair(
    message: verification_pb2.PairAnswer, sequence: int, threshold: VerificationThreshold, provenance: Provenance
) -> PairAnswer:
    outcome = message.WhichOneof("outcome")
    if message.sequence != sequence or outcome is None:
        text = f"an answer with sequence {message.sequence} and outcome {outcome}, expected {sequence} with either"
        raise ProtocolError(text)
    return PairAnswer(
        id=message.id,
        sequence=sequence,
        verification=_unpack_verification(message.verification, sequence) if outcome == "verification" else None,
        error=unpack_error(message.error) if outcome == "error" else None,
        error_member=MEMBERS.get(message.error_member, PairMember.UNSPECIFIED),
        threshold=threshold,
        provenance=provenance,
        context=unpack_context(message),
    )


def _unpack_verification(message: verification_pb2.Verification, sequence: int) -> Verification:
    there = {field.name for field, _ in message.ListFields()}
    missing = [field.name for field in message.DESCRIPTOR.fields if field.name not in there]
    if missing:
        text = f"answer {sequence}: a verification without {', '.join(missing)}"
        raise ProtocolError(text)
    return Verification(
        is_same=message.is_same,
        probability=message.probability,
        beta=message.beta,
        eta=message.eta,
        gamma=message.gamma,
        match_distance=message.match_distance,
        distance=message.distance,
        cosine_distance=message.cosine_distance,
    )


def _unpack_threshold(message: verification_pb2.VerificationThreshold) -> VerificationThreshold:
    return VerificationThreshold(
        distance=DISTANCES.get(message.distance, PairDistance.UNSPECIFIED),
        at_most=message.at_most,
        max_false_accept_rate=message.max_false_accept_rate if message.HasField("max_false_accept_rate") else None,
        false_accept_rate=message.false_accept_rate,
        false_reject_rate=message.false_reject_rate,
        n_impostor_pairs=message.n_impostor_pairs,
        n_genuine_pairs=message.n_genuine_pairs,
        n_parts=message.n_parts,
    )
