"""Workers beside the other servers of predictions: the same models, the same rows, every answer compared."""
