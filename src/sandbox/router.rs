//! Which service answers a path, and the faults every service shares.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::clock::Pace;
use super::faults::Fault;
use super::kubefront::{self, Outcome};
use super::wire::{Call, Reply, fail};
use super::world::World;
use super::{Sandbox, arm, login};

/// The header that marks a broken connection where there is no connection to break (in process).
pub const FAULT_HEADER: &str = "x-sandbox-fault";
/// The status that goes with [`FAULT_HEADER`]; no server sends it.
pub const FAULT_STATUS: u16 = 599;

/// The scheme a server puts into a request whose URI is relative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheme(pub(super) &'static str);

pub(super) fn router(sandbox: Sandbox) -> Router {
    Router::new().fallback(answer).with_state(sandbox)
}

async fn answer(State(sandbox): State<Sandbox>, request: Request<Body>) -> Response<Body> {
    let scheme = request.extensions().get::<Scheme>().map_or("https", |scheme| scheme.0);
    let head = request.method() == Method::HEAD;
    let call = match Call::read(request, scheme).await {
        Ok(call) => call,
        Err(reply) => return reply.into_response(head),
    };
    let (outcome, fault) = {
        let mut world = sandbox.lock();
        world.advance();
        let answer = handle(&mut world, &call);
        // A disk that is full is tried again with the next change and at the end, where it is said.
        let _ = sandbox.write(&mut world);
        answer
    };
    if fault == Fault::DropAfter {
        return broken().into_response(head);
    }
    match outcome {
        Outcome::Reply(reply) => reply.into_response(head),
        Outcome::Text { status, content_type, body } => kubefront::text(status, content_type, body),
        Outcome::Watch(watch) => kubefront::stream(sandbox.clone(), *watch),
    }
}

/// A connection that broke: in process a marked answer, which the server turns into a closed socket.
pub(super) fn broken() -> Reply {
    let status = StatusCode::from_u16(FAULT_STATUS).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply::empty(status).with(FAULT_HEADER, "connection-dropped")
}

fn handle(world: &mut World, call: &Call) -> (Outcome, Fault) {
    if let Some(reply) = login::handle(world, call) {
        return (Outcome::Reply(reply), Fault::None);
    }
    let kubernetes = call.is(0, "kubernetes");
    let fault = world.faults.on_request(&format!("{} {}", call.method, call.path()));
    let refused = match fault {
        Fault::None | Fault::DropAfter => None,
        Fault::DropBefore => Some(broken()),
        Fault::Throttle if kubernetes => Some(
            kubefront::failure(429, "TooManyRequests", "too many requests, please try again later")
                .with("Retry-After", "1"),
        ),
        Fault::Throttle => Some(arm::too_many(2)),
        Fault::ServerError(status) if kubernetes => Some(kubefront::failure(
            status,
            "InternalError",
            "an error on the server has prevented the request from succeeding",
        )),
        Fault::ServerError(status) => Some(server_error(status)),
    };
    if let Some(mut reply) = refused {
        if world.pace == Pace::Fast && fault != Fault::DropBefore {
            reply = reply.with("x-ms-retry-after-ms", "50");
        }
        return (Outcome::Reply(reply), Fault::None);
    }
    if !matches!(call.method, Method::GET | Method::HEAD) {
        world.revision += 1;
    }
    let outcome = if kubernetes {
        kubefront::handle(world, call)
    } else if call.unmeasured {
        return (length_required(), Fault::None);
    } else {
        Outcome::Reply(arm::handle(world, &without_mirror(call)))
    };
    (outcome, fault)
}

/// What the front end of Resource Manager answers before any service sees the request
/// (azure-sdk-for-rust 166, go-azure-sdk 425: POST without Content-Length).
fn length_required() -> Outcome {
    Outcome::Text {
        status: 411,
        content_type: "text/html; charset=us-ascii",
        body: "<HTML><HEAD><TITLE>Length Required</TITLE></HEAD><BODY><h2>Length Required</h2>\
               <hr><p>HTTP Error 411. The request must be chunked or have a content length.</p>\
               </BODY></HTML>"
            .to_owned(),
    }
}

fn server_error(status: u16) -> Reply {
    let (code, message) = match status {
        502 => ("BadGateway", "The gateway received an invalid response."),
        503 => (
            "ServerTimeout",
            "The request timed out. Diagnostic information: timestamp, correlation id.",
        ),
        504 => (
            "GatewayTimeout",
            "The gateway did not receive a response from the resource provider within the specified time period.",
        ),
        _ => ("InternalServerError", "Encountered internal server error."),
    };
    fail(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, message)
}

/// The first Python SDK reads computes under `{api}/rp/workspaces/subscriptions/…`.
fn without_mirror(call: &Call) -> Call {
    let mut call = call.clone();
    if call.is(0, "rp") && call.is(1, "workspaces") {
        call.segments.drain(..2);
    }
    call
}

/// How long a watch sleeps between two looks at the world.
pub(super) const WATCH_PAUSE: Duration = Duration::from_millis(100);

/// What a path that leads nowhere answers.
pub(super) fn nowhere(path: &str) -> Reply {
    Reply::json(
        StatusCode::NOT_FOUND,
        json!({"error": {"code": "NotFound", "message": format!("The path '{path}' was not found.")}}),
    )
}
