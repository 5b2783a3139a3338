//! Drives an operation to its end or to a deadline.

use std::time::Duration;

use http::{HeaderMap, Method};

use super::client::ArmAnswer;
use super::{ApiError, ArmReader, Next, Operation, OperationOutcome};
use crate::client::net::clock;

/// Follows an operation until it ends, or until `deadline` from now has passed. `progress` hears
/// the state and the time waited, before each wait.
///
/// # Errors
/// When Azure cannot be asked how the operation goes; it may still be running then.
pub async fn wait(
    reader: &ArmReader,
    mut operation: Operation,
    deadline: Duration,
    progress: &mut (dyn FnMut(&str, Duration) + Send),
) -> Result<OperationOutcome, ApiError> {
    let start = clock::now();
    let end = clock::after(deadline);
    loop {
        let (url, after) = match operation.next() {
            Next::Done(outcome) => return Ok(outcome),
            Next::Poll { url, after } | Next::Read { url, after } => (url, after),
        };
        progress(operation.state(), start.elapsed());
        let ask = async {
            if !after.is_zero() {
                clock::sleep(after).await;
            }
            reader.read(&Method::GET, &url, None).await
        };
        let Some(answer) = clock::until(end, ask).await else {
            let last_state = operation.state().to_owned();
            return Ok(OperationOutcome::Deadline {
                last_state,
                resume_url: operation.url().to_owned(),
            });
        };
        match answer {
            Ok(ArmAnswer { status, headers, body }) => {
                operation.on_response(status, &headers, &body)?;
            }
            // The reader has repeated it for minutes; the operation's own deadline rules.
            Err(error) if error.verdict().may_pass() => {
                tracing::debug!(%error, "asking again how the operation goes");
                operation.on_response(503, &HeaderMap::new(), &[])?;
            }
            Err(error) => return Err(error),
        }
    }
}
