//! End-to-end tests: see `tests/all`. There is nothing else here.
