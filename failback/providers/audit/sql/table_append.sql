INSERT INTO failback_audit.entries
    (estate, sequence, kind, key, at, who, subject, body, previous_hash, hash)
VALUES
    (%(estate)s, %(sequence)s, %(kind)s, %(key)s, %(at)s, %(who)s, %(subject)s, %(body)s,
     %(previous_hash)s, %(hash)s);
