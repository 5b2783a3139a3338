//! Which service answers a path, and the faults every service shares.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::{Method, Request, Response};

use crate::arm::answer::{refuse, too_many};
use crate::arm::{front, ml};
use crate::kubefront::{self, RouterReply};
use crate::login;
use crate::progress::advance;
use crate::sandbox::Sandbox;
use crate::state::clock::Pace;
use crate::state::faults::Fault;
use crate::state::world::World;
use crate::vault;
use crate::wire::{HttpCall, Reply, broken};

/// The scheme a server puts into a request whose URI is relative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheme(pub(crate) &'static str);

impl Sandbox {
    /// One router for everything: ARM, sign-in, metadata, and the clusters under
    /// `/kubernetes/{subscription}/{resourceGroup}/{cluster}/…`.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }
}

async fn answer(State(sandbox): State<Sandbox>, request: Request<Body>) -> Response<Body> {
    let scheme = request.extensions().get::<Scheme>().map_or("https", |scheme| scheme.0);
    let head = request.method() == Method::HEAD;
    let call = match HttpCall::read(request, scheme).await {
        Ok(call) => call,
        Err(reply) => return reply.into_response(head),
    };
    let (outcome, fault) = {
        let mut world = sandbox.lock();
        advance(&mut world);
        let answer = handle(&mut world, &call);
        // A disk that is full is tried again with the next change and at the end, where it is said.
        let _ = sandbox.write(&mut world);
        answer
    };
    if fault == Fault::DropAfter {
        return broken().into_response(head);
    }
    match outcome {
        RouterReply::Reply(reply) => reply.into_response(head),
        RouterReply::Text { status, content_type, body } => {
            kubefront::text(status, content_type, body)
        }
        RouterReply::Watch(watch) => kubefront::stream(sandbox.clone(), *watch),
    }
}

fn handle(world: &mut World, call: &HttpCall) -> (RouterReply, Fault) {
    let discovers = call.segments.len() == 1 && call.is(0, "discovery");
    if let Some(reply) =
        login::handle(world, call).or_else(|| discovers.then(|| ml::discovery(call)))
    {
        return (RouterReply::Reply(reply), Fault::None);
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
        Fault::Throttle => Some(too_many(2)),
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
        return (RouterReply::Reply(reply), Fault::None);
    }
    if !matches!(call.method, Method::GET | Method::HEAD) {
        world.revision += 1;
    }
    if let Some(reply) = vault::handle(world, call) {
        return (RouterReply::Reply(reply), fault);
    }
    let outcome = if kubernetes {
        kubefront::handle(world, call)
    } else if call.unmeasured {
        return (length_required(), Fault::None);
    } else {
        RouterReply::Reply(front::handle(world, &without_mirror(call)))
    };
    (outcome, fault)
}

/// What the front end of Resource Manager answers before any service sees the request
/// (azure-sdk-for-rust 166, go-azure-sdk 425: POST without Content-Length).
fn length_required() -> RouterReply {
    RouterReply::Text {
        status: 411,
        content_type: "text/html; charset=us-ascii",
        body: "<HTML><HEAD><TITLE>Length Required</TITLE></HEAD><BODY><h2>Length Required</h2>\
               <hr><p>HTTP Error 411. The request must be chunked or have a content length.</p>\
               </BODY></HTML>"
            .to_owned(),
    }
}

fn server_error(status: u16) -> Reply {
    let error = match status {
        502 => "bad-gateway",
        503 => "server-timeout",
        504 => "gateway-timeout",
        _ => "server-error",
    };
    refuse(error, &[])
}

/// The first Python SDK reads computes under `{api}/rp/workspaces/subscriptions/…`.
fn without_mirror(call: &HttpCall) -> HttpCall {
    let mut call = call.clone();
    if call.is(0, "rp") && call.is(1, "workspaces") {
        call.segments.drain(..2);
    }
    call
}
