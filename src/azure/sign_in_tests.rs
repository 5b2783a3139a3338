//! How a way to sign in is chosen.
