//! Integration tests, one binary.

mod kill_train;
