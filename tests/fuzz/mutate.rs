//! Seeded accidents that befall a text.

use std::path::PathBuf;

/// Where a text is from, and the text.
pub(crate) type Seed = (PathBuf, Vec<u8>);

/// Things that parsers have stumbled over.
const TOKENS: [&str; 40] = [
    "[", "]", "{", "}", ":", "- ", "? ", "&a ", "*a", "<<: ", "|", ">", "\"", "'", "#", "\n", "\t",
    "  ", "---\n", "...\n", "%", "!!", "@", "`", "~", "null", "true", "1e999", "-", "\0", "\r",
    "\u{feff}", "\u{2028}", "${", "${A}", "$$", "=", "[[", "\"\"\"", "\\",
];

/// One to eight small accidents.
pub(crate) fn mutate(random: &mut fastrand::Rng, seeds: &[Seed], mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.usize(1..=8) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..40)).min(bytes.len());
        match random.u8(0..7) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                let times = random.usize(1..200);
                bytes.splice(at..at, part.repeat(times));
            }
            2 => {
                let token = TOKENS[random.usize(0..TOKENS.len())];
                let times = if random.u8(0..10) == 0 { 500 } else { 1 };
                bytes.splice(at..at, token.repeat(times).into_bytes());
            }
            3 => bytes.iter_mut().skip(at).take(1).for_each(|it| *it = random.u8(..)),
            4 => {
                let other = &seeds[random.usize(0..seeds.len())].1;
                let start = random.usize(0..=other.len());
                let stop = (start + random.usize(0..400)).min(other.len());
                bytes.splice(at..at, other[start..stop].to_vec());
            }
            5 => bytes.truncate(at),
            _ => {
                let part = bytes[at..end].to_vec();
                let to = random.usize(0..=bytes.len());
                bytes.splice(to..to, part);
            }
        }
        bytes.truncate(200_000);
    }
    bytes
}
