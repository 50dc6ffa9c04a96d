"""Who may what: the operator's policy, how often one may come, and who waits for a place."""
