//! Nothing but tests: see `tests/`, and the scenarios beside this package's manifest.
