"""From candidates to a verdict: match distance, votes, probabilities, decisions, and what they are fitted on."""
