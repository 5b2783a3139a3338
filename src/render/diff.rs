//! One step of a plan as text: nested fields with `+ ~ -`, values that are unknown or secret in
//! words, texts and lists by what differs in them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use similar::ChangeTag;
use similar::algorithms::{Capture, Replace, myers};

use super::fleet::Own;
use super::safe;
use super::style::{Ink, Style, count};
use super::values::{self, SENSITIVE, inline, name};
use crate::model::{Json, Pointer, Value};
use crate::plan::{Action, Reason, Step};
use crate::resource::{FieldChange, Impact};

pub(super) const fn ink(action: Action) -> Ink {
    match action {
        Action::NoOp => Ink::Plain,
        Action::Read => Ink::Told,
        Action::Create => Ink::Good,
        Action::Update => Ink::Careful,
        Action::Replace | Action::Delete => Ink::Bad,
    }
}

/// What to say of a resource that Azure or the cluster still works on.
pub(super) fn settling(state: &str) -> String {
    format!("still being worked on (state {state}); apply waits for it")
}

/// One step as lines: headline, why, what it costs, and its fields.
pub(super) fn step(step: &Step, style: &Style) -> Vec<String> {
    StepWriter::new(step, style, None).step()
}

/// The same for what stands for the step in several clusters. What each of them loses differs, and
/// is left out.
pub(super) fn common(step: &Step, own: &Own, style: &Style) -> Vec<String> {
    StepWriter::new(step, style, Some(own)).step()
}

/// A changed field, or what lies above changed fields.
enum Tree<'a> {
    Leaf(&'a FieldChange),
    Branch(BTreeMap<&'a str, Self>),
}

impl<'a> Tree<'a> {
    fn of(changes: &'a [FieldChange]) -> BTreeMap<&'a str, Self> {
        let mut root = BTreeMap::new();
        for change in changes {
            Self::put(&mut root, change.path.tokens(), change);
        }
        root
    }

    fn put(at: &mut BTreeMap<&'a str, Self>, path: &'a [String], change: &'a FieldChange) {
        match path {
            // A change of the whole document has no name of its own.
            [] => drop(at.insert("", Self::Leaf(change))),
            [last] => drop(at.insert(last, Self::Leaf(change))),
            [first, rest @ ..] => {
                let branch = || Self::Branch(BTreeMap::new());
                if let Self::Branch(inner) = at.entry(first).or_insert_with(branch) {
                    Self::put(inner, rest, change);
                }
            }
        }
    }
}

/// Writes one step.
struct StepWriter<'a> {
    step: &'a Step,
    style: &'a Style,
    derived: BTreeMap<&'a Pointer, &'a str>,
    /// Names that have words in their place.
    own: Option<&'a Own>,
    lines: Vec<String>,
}

impl<'a> StepWriter<'a> {
    fn new(step: &'a Step, style: &'a Style, own: Option<&'a Own>) -> Self {
        let derived = step.derived.iter().map(|(path, why)| (path, why.as_str())).collect();
        Self { step, style, derived, own, lines: Vec::new() }
    }

    fn worded<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.own.map_or(text.into(), |own| own.worded(text).into())
    }

    fn step(mut self) -> Vec<String> {
        let (step, style) = (self.step, self.style);
        let words = match step.action {
            Action::NoOp => "stays as it is",
            Action::Read => "will be read",
            Action::Create => "will be created",
            Action::Update => "will be updated in place",
            Action::Replace => "must be replaced",
            Action::Delete => "will be destroyed",
        };
        let headline = self.worded(&format!("  # {} {words}", step.key)).into_owned();
        self.lines.push(style.ink(Ink::Strong, &headline));
        self.comments();
        let kind = step.key.kind;
        let title = if step.key.name.is_empty() {
            kind.to_string()
        } else {
            format!("{kind} {}", Json::from(step.key.name.as_str()))
        };
        self.line(0, step.action, &format!("{title} {{"), "");
        match step.action {
            Action::Update | Action::Replace => {
                let changes = self.shown_changes();
                let tree = Tree::of(&changes);
                self.branch(1, &tree, &Pointer::root());
            }
            Action::Create => self.document(values::after(step).as_ref()),
            Action::Delete if self.own.is_some() => {}
            Action::Delete | Action::NoOp | Action::Read => {
                self.document(values::before(step).as_ref());
            }
        }
        self.line(0, Action::NoOp, "}", "");
        self.lines
    }

    /// The fields that differ and, where the resource is made anew, those that get a new value by it.
    fn shown_changes(&self) -> Vec<FieldChange> {
        let step = self.step;
        let mut changes = step.changes.clone();
        if let (Action::Replace, Some(after)) = (step.action, &step.after) {
            let live = step.before.as_ref();
            for (path, later) in after.later_leaves() {
                let known = changes.iter().any(|change| path.starts_with(&change.path));
                if !known && later.call.is_none() {
                    let before = live.and_then(|value| path.get(value)).cloned();
                    changes.push(FieldChange { path, before, after: Some(later.clone().into()) });
                }
            }
        }
        changes
    }

    fn comments(&mut self) {
        let step = self.step;
        let mut said = Vec::new();
        for reason in &step.reasons {
            match reason {
                // The headline and the fields say as much.
                Reason::Absent
                | Reason::FieldsDiffer
                | Reason::CannotUpdate(_)
                | Reason::Destroy => {}
                Reason::DependencyReplaced(_)
                | Reason::Unhealthy { .. }
                | Reason::FeatureRegistered(_)
                | Reason::CompanionChanged(_)
                | Reason::NotDeclared(_)
                | Reason::Moved(_)
                | Reason::Adopted => said.push(values::reason(reason)),
            }
        }
        said.extend(step.note.as_ref().map(|note| format!("why: {note}")));
        said.extend(step.settling.as_ref().map(|text| settling(text)));
        if step.impact != Impact::Safe && step.action != Action::Create {
            said.push(format!("impact: {}", step.impact.describe()));
        }
        for text in said {
            self.lines.extend(self.style.wrap("  # ", &self.worded(&text)));
        }
    }

    fn line(&mut self, depth: usize, action: Action, text: &str, comment: &str) {
        let symbol = self.style.ink(ink(action), &format!("{:>3}", action.symbol()));
        let (text, comment) = (self.worded(text), self.worded(comment));
        let comment = self.style.ink(Ink::Faint, &comment);
        let indent = " ".repeat(depth * 4);
        let line = format!("{indent}{symbol} {text}{comment}");
        self.lines.push(line.trim_end().to_owned());
    }

    fn comment(&self, path: &Pointer) -> String {
        let forced = values::forced_paths(self.step).contains(&path);
        let forced = if forced { " # forces replacement" } else { "" };
        let derived = self.derived.get(path).map(|text| format!(" # derived: {text}"));
        format!("{forced}{}", derived.unwrap_or_default())
    }

    /// A whole document, created or destroyed.
    fn document(&mut self, document: Option<&Value>) {
        let action = self.step.action;
        if let Some(Value::Object(map)) = document {
            self.map(1, action, map, &Pointer::root());
        }
    }

    fn map(&mut self, depth: usize, action: Action, map: &BTreeMap<String, Value>, path: &Pointer) {
        let set = || map.iter().filter(|(_, value)| **value != Value::Null);
        let width = set().map(|(key, _)| name(key).chars().count()).max().unwrap_or(0);
        for (key, value) in set() {
            let label = format!("{:width$} = ", name(key));
            self.value(depth, action, &label, value, &path.join(key));
        }
    }

    /// A value that comes or goes as a whole; `label` is what stands before it.
    fn value(&mut self, depth: usize, action: Action, label: &str, value: &Value, path: &Pointer) {
        let gone = if action == Action::Delete { " -> null" } else { "" };
        let comment = self.comment(path);
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.line(depth, action, &format!("{label}{{"), &comment);
                self.map(depth + 1, action, map, path);
                self.line(depth, Action::NoOp, &format!("}}{gone}"), "");
            }
            Value::Array(items) if !items.is_empty() => {
                self.line(depth, action, &format!("{label}["), &comment);
                for item in items {
                    self.line(depth + 1, action, &format!("{},", inline(item)), "");
                }
                self.line(depth, Action::NoOp, &format!("]{gone}"), "");
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                self.line(depth, action, &format!("{label}<<-EOT"), &comment);
                for line in text.lines() {
                    self.line(depth + 1, Action::NoOp, &safe::shortened(line), "");
                }
                self.line(depth, Action::NoOp, &format!("EOT{gone}"), "");
            }
            _ => {
                self.line(depth, action, &format!("{label}{}{gone}", inline(value)), &comment);
            }
        }
    }

    /// Changed fields at one level, and how many stay beside them.
    fn branch(&mut self, depth: usize, tree: &BTreeMap<&str, Tree<'_>>, path: &Pointer) {
        let width = tree.keys().map(|text| name(text).chars().count()).max().unwrap_or(0);
        for (key, child) in tree {
            let label = format!("{:width$} = ", name(key));
            match child {
                Tree::Leaf(change) => self.change(depth, &label, change),
                Tree::Branch(inner) => {
                    self.line(depth, Action::Update, &format!("{label}{{"), "");
                    self.branch(depth + 1, inner, &path.join(*key));
                    self.line(depth, Action::NoOp, "}", "");
                }
            }
        }
        let declared = self.step.after.as_ref().and_then(|value| value.get(path));
        let Some(Value::Object(map)) = declared else { return };
        let same = map
            .iter()
            .filter(|(key, value)| !tree.contains_key(key.as_str()) && **value != Value::Null);
        self.hidden(depth, same.count(), "attribute");
    }

    fn hidden(&mut self, depth: usize, number: usize, noun: &str) {
        if number > 0 {
            let said = format!("# ({} hidden)", count(number, &format!("unchanged {noun}")));
            let said = self.style.ink(Ink::Faint, &said);
            self.line(depth, Action::NoOp, &said, "");
        }
    }

    fn change(&mut self, depth: usize, label: &str, change: &FieldChange) {
        let FieldChange { path, before, after } = change;
        let comment = self.comment(path);
        if values::is_secret_change(change) {
            let (action, gone) = match (before, after) {
                (None, _) => (Action::Create, ""),
                (Some(_), Some(_)) => (Action::Update, " # changed"),
                (Some(_), None) => (Action::Delete, " -> null"),
            };
            let shown = after.as_ref().map_or_else(|| SENSITIVE.to_owned(), inline);
            self.line(depth, action, &format!("{label}{shown}{gone}"), &comment);
            return;
        }
        match (before.clone().map(Value::from), after) {
            (None, None) => {}
            (None, Some(after)) => self.value(depth, Action::Create, label, after, path),
            (Some(before), None) => self.value(depth, Action::Delete, label, &before, path),
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                self.line(depth, Action::Update, &format!("{label}["), &comment);
                self.items(depth + 1, &before, after);
                self.line(depth, Action::NoOp, "]", "");
            }
            (Some(Value::String(before)), Some(Value::String(after)))
                if before.trim_end().contains('\n') || after.trim_end().contains('\n') =>
            {
                self.line(depth, Action::Update, &format!("{label}<<-EOT"), &comment);
                self.text(depth + 1, &before, after);
                self.line(depth, Action::NoOp, "EOT", "");
            }
            (Some(before), Some(after)) => {
                let (before, after) = values::inline_pair(&before, after);
                let said = format!("{label}{before} -> {after}");
                self.line(depth, Action::Update, &said, &comment);
            }
        }
    }

    /// Items of a list that go and come. A list in which only the order differs is shown whole.
    fn items(&mut self, depth: usize, before: &[Value], after: &[Value]) {
        let (mut gone, mut new) = values::list_difference(before, after);
        let same = after.len() - new.len();
        let reordered = gone.is_empty() && new.is_empty();
        if reordered {
            (gone, new) = (before.to_vec(), after.to_vec());
        }
        for item in &gone {
            self.line(depth, Action::Delete, &format!("{},", inline(item)), "");
        }
        for item in &new {
            self.line(depth, Action::Create, &format!("{},", inline(item)), "");
        }
        if !reordered {
            self.hidden(depth, same, "element");
        }
    }

    /// Lines of a text that go and come, with what stands around them.
    fn text(&mut self, depth: usize, before: &str, after: &str) {
        let [old, new] = [before, after].map(|it| it.split_inclusive('\n').collect::<Vec<&str>>());
        // Not TextDiff: with it comes every algorithm of the library, half a megabyte of program.
        let mut ops = Replace::new(Capture::new());
        let Ok(()) = myers::diff(&mut ops, &*old, 0..old.len(), &*new, 0..new.len());
        for group in ops.into_inner().into_grouped_ops(2) {
            for change in group.iter().flat_map(|diff_op| diff_op.iter_changes(&*old, &*new)) {
                let action = match change.tag() {
                    ChangeTag::Equal => Action::NoOp,
                    ChangeTag::Delete => Action::Delete,
                    ChangeTag::Insert => Action::Create,
                };
                self.line(depth, action, &safe::shortened(change.value()), "");
            }
        }
    }
}
