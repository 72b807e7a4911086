"""What governing costs: gates and record on a transition, many promotions at once, proofs of a long record."""
