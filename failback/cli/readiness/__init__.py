"""Whether failback could do its work on an estate now: questions, answers and cures.

Nothing is exported here: `findings` is light, and `estate` pulls every client library in.
"""
