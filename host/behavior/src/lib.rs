//! What accounts and endpoints usually do, and what is unusual: pure functions.
