//! Label and field selectors (Kubernetes docs, "Labels and Selectors", "Field Selectors").

use serde_json::Value as Json;

use super::status::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Equals(String, String),
    Differs(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// The two selectors of a list, watch or deletecollection request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selectors {
    labels: Vec<Term>,
    fields: Vec<Term>,
    /// The only object asked for (a watch on one object's path).
    pub(crate) name: Option<String>,
}

impl Selectors {
    /// Reads the query values.
    pub(crate) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, Failure> {
        let bad = |what: &str, text: &str| {
            Failure::bad_request(format!("unable to parse {what} selector: \"{text}\""))
        };
        let read = |what: &str, text: Option<&str>| {
            let text = text.unwrap_or_default();
            split(text)
                .into_iter()
                .map(|term| term_of(&term).ok_or_else(|| bad(what, text)))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { labels: read("label", labels)?, fields: read("field", fields)?, name: None })
    }

    pub(crate) fn match_object(&self, object: &Json) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str().map(str::to_owned);
        let field = |key: &str| {
            let pointer = format!("/{}", key.replace('.', "/"));
            let value = object.pointer(&pointer).unwrap_or(&Json::Null);
            Some(match value {
                Json::String(text) => text.clone(),
                Json::Null => String::new(),
                other => other.to_string(),
            })
        };
        self.labels.iter().all(|term| term.holds(&label))
            && self.fields.iter().all(|term| term.holds(&field))
            && self.name.as_deref().is_none_or(|name| object["metadata"]["name"] == name)
    }
}

impl Term {
    fn holds(&self, value: &dyn Fn(&str) -> Option<String>) -> bool {
        match self {
            Term::Equals(key, wanted) => value(key).is_some_and(|value| &value == wanted),
            Term::Differs(key, wanted) => value(key).is_none_or(|value| &value != wanted),
            Term::In(key, wanted) => value(key).is_some_and(|value| wanted.contains(&value)),
            Term::NotIn(key, wanted) => value(key).is_none_or(|value| !wanted.contains(&value)),
            Term::Exists(key) => value(key).is_some(),
            Term::Missing(key) => value(key).is_none(),
        }
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0_i32;
    for letter in text.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        match terms.last_mut() {
            Some(last) if letter != ',' || depth > 0 => last.push(letter),
            Some(_) | None => terms.push(String::new()),
        }
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn term_of(term: &str) -> Option<Term> {
    let term = term.trim();
    let own = |text: &str| text.trim().to_owned();
    if let Some((head, values)) = term.split_once('(') {
        let values = values.strip_suffix(')')?.split(',').map(own).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => Some(Term::In(own(key), values)),
            "notin" => Some(Term::NotIn(own(key), values)),
            _ => None,
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Some(Term::Differs(own(key), own(value)));
    }
    if let Some((key, value)) = term.split_once('=') {
        return Some(Term::Equals(own(key), own(value.trim_start_matches('='))));
    }
    if term.contains(char::is_whitespace) {
        return None;
    }
    match term.strip_prefix('!') {
        Some(key) => Some(Term::Missing(own(key))),
        None => Some(Term::Exists(own(term))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_mean_what_the_documentation_says() {
        let object = json!({
            "metadata": {"name": "n", "labels": {"app": "fe", "tier": "web"}},
            "status": {"phase": "Running"},
            "spec": {"unschedulable": true}
        });
        for (labels, fields, expected) in [
            ("app=fe", "", true),
            ("app==fe,tier=web", "", true),
            ("app!=fe", "", false),
            ("missing!=x", "", true),
            ("app in (fe, be),tier", "", true),
            ("app notin (fe)", "", false),
            ("!app", "", false),
            ("!other", "", true),
            ("", "metadata.name=n", true),
            ("", "metadata.name!=n", false),
            ("", "status.phase=Running,spec.unschedulable=true", true),
            ("", "status.phase=Pending", false),
        ] {
            let selectors = Selectors::parse(Some(labels), Some(fields)).expect("parses");
            assert_eq!(selectors.match_object(&object), expected, "{labels} {fields}");
        }
        assert!(Selectors::parse(Some("a b c"), None).is_err());
    }
}
