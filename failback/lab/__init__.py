"""The embedded estate: real servers on one machine, with roles as hosted ones give them."""
