-- Takes a catch-up away with its shares and their keys.
DROP TABLE IF EXISTS failback.catch_up, failback.catch_up_share, failback.catch_up_keys
