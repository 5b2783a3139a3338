//! The formats of a report.

pub(crate) const FORMATS: [&str; 10] = [
    "human",
    "json",
    "markdown",
    "junit",
    "sarif",
    "github",
    "azure-pipelines",
    "gitlab",
    "prometheus",
    "html",
];
