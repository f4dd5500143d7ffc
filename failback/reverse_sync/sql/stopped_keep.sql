-- Makes the stopped tables exactly these. One that is stopped has changes that are passed over.
UPDATE failback.stream_table AS t
SET stopped = coalesce(w.problem, ''),
    cure = coalesce(w.cure, ''),
    unproven = CASE WHEN w.name IS NOT NULL AND t.unproven = ''
                    THEN 'it was stopped: it ' || w.problem ELSE t.unproven END
FROM failback.stream_table AS s
LEFT JOIN unnest(%(names)s::text[], %(problems)s::text[], %(cures)s::text[])
    AS w (name, problem, cure) ON w.name = s.name
WHERE t.stream = %(stream)s
  AND s.stream = t.stream
  AND s.name = t.name
  AND (t.stopped, t.cure) IS DISTINCT FROM (coalesce(w.problem, ''), coalesce(w.cure, ''))
