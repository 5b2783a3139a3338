//! One HTTP core and the two dialects that are spoken over it.

pub mod arm;
pub mod kubernetes;
pub mod net;
