//! The life of one access, from what was asked for to what was decided.
