"""Finding neighbours: FAISS proposes candidates, their distances are recomputed, SOART3 re-ranks them."""
