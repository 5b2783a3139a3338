//! amlplan sets up Kubernetes clusters for Azure Machine Learning from one manifest.
//!
//! Every command is a prefix of one line:
//!
//! ```text
//! text ─ manifest ─► Manifest ─ graph ─► Desired (DAG) ─ observe ─► Snapshot ─ plan ─► Plan ─ render ─► reader
//!                                                                                └─ apply ─► events ─► render
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`model`] | words everybody shares, no I/O |
//! | [`source`] | files, places in them, diagnostics |
//! | [`manifest`] | text → [`manifest::Manifest`] |
//! | [`catalog`] | what Azure ML on Kubernetes is, as data |
//! | [`kind`] | what a resource is; pure; one file per kind |
//! | [`graph`] | manifest → DAG of resources |
//! | [`observe`] | DAG → snapshot of live documents |
//! | [`plan`] | (desired, live) → plan; pure |
//! | [`check`] | rules over manifest and snapshot |
//! | [`apply`] | plan → changes |
//! | [`net`] | transport, retry, throttle, clock, redaction |
//! | [`azure`] | Azure Resource Manager |
//! | [`cluster`] | Kubernetes |
//! | [`render`] | the only place that formats for people or machines |
//! | [`amlplan_sandbox`] | simulator of Azure and Kubernetes; an island |
//! | [`cli`] | one file per command |

pub mod apply;
pub mod azure;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod graph;
pub mod kind;
pub mod manifest;
pub mod model;
pub mod net;
pub mod observe;
pub mod plan;
pub mod render;
pub mod source;
