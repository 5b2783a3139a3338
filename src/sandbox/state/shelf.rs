//! A map that knows which of its entries changed, so that only those are written to the state file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
}

/// A shelf as the state file sees it: entries as JSON.
pub(crate) trait SavedShelf {
    /// What changed since [`SavedShelf::settle`]; `null` is an entry that is gone.
    fn changed_entries(&self, write: &mut dyn FnMut(&str, String));
    fn all_entries(&self, write: &mut dyn FnMut(&str, String));
    /// Puts an entry back as it was written: no change.
    fn restore(&mut self, key: String, value: &str) -> Result<(), serde_json::Error>;
    /// Says that everything is written.
    fn settle(&mut self);
}

fn json<T: Serialize>(value: Option<&T>) -> String {
    let text = value.and_then(|value| serde_json::to_string(value).ok());
    text.unwrap_or_else(|| "null".to_owned())
}

impl<T: Serialize + DeserializeOwned> SavedShelf for Shelf<T> {
    fn changed_entries(&self, write: &mut dyn FnMut(&str, String)) {
        self.changed.iter().for_each(|key| write(key, json(self.entries.get(key))));
    }

    fn all_entries(&self, write: &mut dyn FnMut(&str, String)) {
        self.entries.iter().for_each(|(key, value)| write(key, json(Some(value))));
    }

    fn restore(&mut self, key: String, value: &str) -> Result<(), serde_json::Error> {
        match serde_json::from_str(value)? {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.remove(&key),
        };
        Ok(())
    }

    fn settle(&mut self) {
        self.changed.clear();
    }
}
