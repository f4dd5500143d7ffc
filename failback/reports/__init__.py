"""Reports about rollbacks, for people who were not there."""
