//! Every style of operation, answer by answer.
