//! What the agents of a connected cluster report by themselves.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::state::clock::{arm_time, machine_now};
use crate::state::world::World;

/// How often agents are heard, in seconds.
const BEAT: i64 = 1800;

/// What the agents of a connected cluster report by themselves: when they were last heard, and until when the
/// certificate of their identity holds, which they renew ("Azure Arc docs: cluster connectivity", 90 days). What was set
/// by hand is shown as it was set.
pub(crate) fn heard(world: &World, body: &mut Json) {
    let is_arc = body["type"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("microsoft.kubernetes/connectedclusters"));
    if !is_arc {
        return;
    }
    let made = body["systemData"]["createdAt"].as_str().and_then(|at| at.parse().ok());
    let properties = &mut body["properties"];
    let connected = properties["connectivityStatus"]
        .as_str()
        .is_none_or(|text| text.eq_ignore_ascii_case("connected"));
    // Clients compare with their own clock, and a saved world may be behind it. Two reads shortly after each other agree.
    let now = world.now().max(machine_now());
    let made = made.unwrap_or(now);
    let beat = now.as_second() - now.as_second().rem_euclid(BEAT);
    let last = match Timestamp::from_second(beat) {
        Ok(beat) if connected && now.as_second() - made.as_second() > BEAT => beat,
        _ => made,
    };
    let ends = last.checked_add(SignedDuration::from_hours(90 * 24)).unwrap_or(Timestamp::MAX);
    for (member, at) in
        [("lastConnectivityTime", last), ("managedIdentityCertificateExpirationTime", ends)]
    {
        if properties[member].is_null() {
            properties[member] = json!(arm_time(at));
        }
    }
}
