"""How well unusual patterns are detected: NAB's standard score, by series."""
