//! Generated manifests: whatever combination validates lives the whole life that
//! `convergence.rs` asks of the shipped ones.

#[path = "common/life.rs"]
mod life;
#[path = "common/made.rs"]
mod made;
#[path = "common/program.rs"]
mod program;

use life::Life;
use program::Place;
use proptest::prop_assert_eq;

/// Runs so many manifests, always the same ones of a part.
fn live(part: u8, cases: u32) {
    let outcome = made::runner(part, cases).run(&(made::wanted(), 0..60_usize), |(it, number)| {
        let place = Place::new();
        let text = made::manifest(&it);
        std::fs::write(place.path("made.yaml"), &text).expect("a manifest");
        let valid = place.run(&["validate", "made.yaml"]);
        prop_assert_eq!(valid.code, 0, "not valid:\n{}\n{}", text, valid.err);
        Life { place: &place, manifest: "made.yaml".to_owned() }.goes_by(number);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn generated_manifests_converge() {
    live(1, 12);
}

#[test]
fn more_generated_manifests_converge() {
    live(2, 12);
}
