//! (to come)
pub mod kube;
