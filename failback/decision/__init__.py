"""The decision matrix and its evaluation: pure functions of evidence."""
