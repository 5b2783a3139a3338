//! The graph as a picture that needs no other program: a box for each scope, in it columns from what is needed to what
//! needs it. Every text is escaped; there is no script in it.

use std::collections::BTreeMap;

use super::super::safe::markup;
use super::super::style::text;
use super::{colours, label, scopes};
use crate::health::Status;
use crate::model::Key;
use crate::resource::graph::{Desired, essential, order};

/// Pixels: a resource's box, the gap to the next column, the gap to the next row, the rim of a scope's box, its title.
const BOX: (usize, usize) = (216, 44);
const GAP: (usize, usize) = (64, 14);
const RIM: usize = 16;
const TITLE: usize = 26;

/// The column of every resource: one behind the last of what it needs.
fn columns<'a>(desired: &'a Desired, edges: &[(&'a Key, &'a Key)]) -> BTreeMap<&'a Key, usize> {
    let mut columns: BTreeMap<&Key, usize> = BTreeMap::new();
    for key in order(desired).unwrap_or_default() {
        let Some((key, _)) = desired.nodes.get_key_value(&key) else { continue };
        let before =
            edges.iter().filter(|(_, to)| *to == key).filter_map(|(from, _)| columns.get(from));
        let column = before.max().map_or(0, |last| last + 1);
        columns.insert(key, column);
    }
    columns
}

/// Where every box stands (its upper left corner), the boxes of scopes, and the size of the whole.
struct Layout<'a> {
    places: BTreeMap<&'a Key, (usize, usize)>,
    lanes: Vec<(&'a str, usize, usize)>,
    size: (usize, usize),
}

fn layout<'a>(desired: &'a Desired, edges: &[(&'a Key, &'a Key)]) -> Layout<'a> {
    let columns = columns(desired, edges);
    let width = columns.values().max().map_or(0, |last| last + 1) * (BOX.0 + GAP.0);
    let (mut places, mut lanes, mut top) = (BTreeMap::new(), Vec::new(), RIM);
    for (scope, members) in scopes(desired) {
        let mut cells: BTreeMap<usize, Vec<&Key>> = BTreeMap::new();
        for (key, _) in members {
            cells.entry(columns.get(key).copied().unwrap_or(0)).or_default().push(key);
        }
        let mut deepest = 0;
        for (column, mut keys) in cells {
            // Beside what it needs, as far as that stands already: fewer lines cross.
            keys.sort_by_key(|key| {
                let needed = edges.iter().filter(|(_, to)| to == key);
                let above: Vec<usize> = needed
                    .filter_map(|(from, _)| places.get(*from).map(|at: &(usize, usize)| at.1))
                    .collect();
                (above.iter().sum::<usize>() / above.len().max(1), *key)
            });
            for (row, key) in keys.iter().enumerate() {
                let x = 2 * RIM + column * (BOX.0 + GAP.0);
                let y = top + TITLE + row * (BOX.1 + GAP.1);
                places.insert(*key, (x, y));
            }
            deepest = deepest.max(keys.len());
        }
        let height = TITLE + deepest * (BOX.1 + GAP.1) - GAP.1 + RIM;
        lanes.push((scope, top, height));
        top += height + RIM;
    }
    Layout { places, lanes, size: (width + 4 * RIM - GAP.0, top) }
}

/// Fill and border by state.
const fn painted(state: Status) -> (&'static str, &'static str) {
    match state {
        Status::Fail => ("#fde8e8", "#b00020"),
        Status::Warning | Status::Unknown => ("#fef3c7", "#b87700"),
        Status::Info => ("#dbeafe", "#0060a0"),
        Status::Skipped => ("#eceff4", "#7b8794"),
        Status::Pass => ("#dcfce7", "#15803d"),
    }
}

/// The picture, coloured by what a resource belongs to, or by its state where states are given.
#[must_use]
pub fn svg(desired: &Desired, states: &BTreeMap<&Key, Status>) -> String {
    let edges = essential(desired);
    let Layout { places, lanes, size: (width, height) } = layout(desired, &edges);
    let mut lines = vec![
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\">"
        ),
        format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"),
    ];
    for (scope, y, tall) in lanes {
        let wide = width - 2 * RIM;
        lines.push(format!(
            "<rect x=\"{RIM}\" y=\"{y}\" width=\"{wide}\" height=\"{tall}\" rx=\"8\" fill=\"#f8fafc\" stroke=\"#cbd5e1\"/>"
        ));
        let (x, y) = (2 * RIM, y + 17);
        lines.push(format!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"13\" font-weight=\"600\" fill=\"#334155\">{}</text>",
            markup(scope)
        ));
    }
    for (from, to) in &edges {
        let ((fx, fy), (tx, ty)) = (places[from], places[to]);
        let (x1, y1, y2) = (fx + BOX.0, fy + BOX.1 / 2, ty + BOX.1 / 2);
        let (c1, c2) = (x1 + GAP.0 / 2, tx.saturating_sub(GAP.0 / 2));
        lines.push(format!(
            "<path d=\"M{x1} {y1} C{c1} {y1} {c2} {y2} {tx} {y2}\" fill=\"none\" stroke=\"#94a3b8\" stroke-width=\"1.2\"/>"
        ));
    }
    for (key, node) in &desired.nodes {
        let colours = match states.get(key) {
            Some(state) => painted(*state),
            None if states.is_empty() => colours(key.kind),
            None => ("#ffffff", "#9aa5b1"),
        };
        let ((x, y), (fill, border)) = (places[key], colours);
        let dash = if key.kind.read_only() { " stroke-dasharray=\"4 3\"" } else { "" };
        let reason = node.reason.as_deref().map(|why| format!(": {}", markup(why)));
        let (tip, wide, tall) =
            (format!("{}{}", markup(&key.to_string()), reason.unwrap_or_default()), BOX.0, BOX.1);
        lines.push(format!("<g><title>{tip}</title>"));
        lines.push(format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{tall}\" rx=\"5\" fill=\"{fill}\" stroke=\"{border}\"{dash}/>"
        ));
        let (left, first, second) = (x + 10, y + 17, y + 34);
        lines.push(format!(
            "<text x=\"{left}\" y=\"{first}\" font-size=\"11\" fill=\"{border}\">{}</text>",
            markup(&key.kind.as_str().replace('_', " "))
        ));
        lines.push(format!(
            "<text x=\"{left}\" y=\"{second}\" font-size=\"12\" fill=\"#0f172a\">{}</text></g>",
            markup(&label(key))
        ));
    }
    lines.push("</svg>".to_owned());
    text(&lines)
}
