"""What the benchmarks share: servers, data, references, measuring and the table."""
