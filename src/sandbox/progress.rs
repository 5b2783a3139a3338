//! Time goes on: what is due happens, in order, each at its own time.

use crate::agents::install;
use crate::arm::ml;
use crate::state::event::Occurrence;
use crate::state::world::World;

/// Completes everything that is due. Every request begins with it, so that nothing waits for somebody to poll.
pub(crate) fn advance(world: &mut World) {
    while let Some(event) = world.take_due() {
        match event {
            Occurrence::Extension { id, operation, step } => {
                install::step(world, &id, &operation, step)
            }
            Occurrence::Attach { id, operation } => ml::finish_attach(world, &id, &operation),
            plain => world.happen(plain),
        }
    }
}
