//! A map that knows which of its entries changed, so that only those are written to the state file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

/// An ordered map by text. It reads as a `BTreeMap`; every way to change it notes the key.
#[derive(Clone, Debug)]
pub(crate) struct Shelf<T> {
    entries: BTreeMap<String, T>,
    changed: BTreeSet<String>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<T> Deref for Shelf<T> {
    type Target = BTreeMap<String, T>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl<T> Shelf<T> {
    pub(crate) fn insert(&mut self, key: String, value: T) -> Option<T> {
        self.changed.insert(key.clone());
        self.entries.insert(key, value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let found = self.entries.get_mut(key);
        if found.is_some() {
            self.changed.insert(key.to_owned());
        }
        found
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<T> {
        let gone = self.entries.remove(key);
        if gone.is_some() {
            self.changed.insert(key.to_owned());
        }
        gone
    }

    /// Removes every entry that fails the test.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &T) -> bool) {
        let gone: Vec<String> = self
            .entries
            .iter()
            .filter(|(key, value)| !keep(key, value))
            .map(|e| e.0.clone())
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Puts an entry back as it was written: no change.
    pub(crate) fn restore(&mut self, key: String, value: Option<T>) {
        match value {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.remove(&key),
        };
    }

    /// What changed since [`Shelf::settle`]; `None` is an entry that is gone.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&str, Option<&T>)> {
        self.changed.iter().map(|key| (key.as_str(), self.entries.get(key)))
    }

    /// Says that everything is written.
    pub(crate) fn settle(&mut self) {
        self.changed.clear();
    }
}
