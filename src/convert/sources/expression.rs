//! Expressions of ARM templates: `[concat(parameters('a'), '-x')]`, as far as they are known.

use std::collections::BTreeMap;

use super::super::script::{answer::NO_SUBSCRIPTION, variable_name};
use crate::model::Json;

const DEEPEST: usize = 30;
const NO_GROUP: &str = "${RESOURCE_GROUP}";

/// Parameters and variables of a template.
#[derive(Debug, Default)]
pub(super) struct Template {
    parameters: BTreeMap<String, Option<Json>>,
    variables: BTreeMap<String, Json>,
    is_template: bool,
    /// Texts are in the manifest's notation.
    notated: bool,
    /// Which round of a `copy` is made.
    pub(super) index: Option<u64>,
}

impl Template {
    pub(super) fn new(document: &Json) -> Self {
        let map = |name: &str| document.get(name).and_then(Json::as_object).into_iter().flatten();
        let parameters = map("parameters").map(|(name, value)| {
            (name.to_lowercase(), value.get("defaultValue").or_else(|| value.get("value")).cloned())
        });
        let variables = map("variables").map(|(name, value)| (name.to_lowercase(), value.clone()));
        Self {
            parameters: parameters.collect(),
            variables: variables.collect(),
            is_template: true,
            ..Self::default()
        }
    }

    pub(super) fn notated() -> Self {
        Self { notated: true, ..Self::default() }
    }

    /// The group that a template is for, where there is one.
    pub(super) fn group(&self) -> Option<String> {
        self.is_template.then(|| NO_GROUP.to_owned())
    }

    /// A text of the template in the manifest's notation.
    pub(super) fn text(&self, text: &str) -> String {
        let inside = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match inside.filter(|it| self.is_template && !text.starts_with("[[") && !it.is_empty()) {
            Some(text) => {
                let mut parser = Parser { template: self, text, at: 0 };
                parser.expression(0)
            }
            None if self.notated => text.to_owned(),
            None => text.replace('$', "$$"),
        }
    }

    /// `TYPE/NAME/TYPE/NAME` of a scope → the whole id, in the template's own group.
    pub(super) fn whole_id(&self, scope: &str) -> String {
        if scope.starts_with('/') || scope.starts_with("${") || !scope.contains("Microsoft.") {
            return scope.to_owned();
        }
        format!("/subscriptions/{NO_SUBSCRIPTION}/resourceGroups/{NO_GROUP}/providers/{scope}")
    }
}

struct Parser<'a> {
    template: &'a Template,
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, sign: char) -> bool {
        self.blanks();
        let found = self.rest().starts_with(sign);
        self.at += usize::from(found);
        found
    }

    fn expression(&mut self, depth: usize) -> String {
        self.blanks();
        if depth > DEEPEST {
            self.at = self.text.len();
            return "${VALUE}".to_owned();
        }
        if self.eat('\'') {
            let mut out = String::new();
            loop {
                let rest = self.rest();
                let end = rest.find('\'').unwrap_or(rest.len());
                out.push_str(&rest[..end].replace('$', "$$"));
                self.at += end + 1;
                if !self.rest().starts_with('\'') {
                    return out;
                }
                out.push('\'');
                self.at += 1;
            }
        }
        let letter = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
        let rest = self.rest();
        let end = rest.find(|it| !letter(it)).unwrap_or(rest.len());
        let name = rest[..end].to_lowercase();
        self.at += end.max(1).min(rest.len());
        let mut args = Vec::new();
        if end > 0 && self.eat('(') {
            while self.at < self.text.len() && !self.eat(')') {
                args.push(self.expression(depth + 1));
                self.eat(',');
            }
        }
        let mut path = Vec::new();
        while self.at < self.text.len() {
            if self.eat('[') {
                path.push(self.expression(depth + 1));
                self.eat(']');
            } else if self.eat('.') {
                let rest = self.rest();
                let end = rest.find(|it| !letter(it) || it == '.').unwrap_or(rest.len());
                path.push(rest[..end].to_owned());
                self.at += end;
            } else {
                break;
            }
        }
        self.call(&name, &args, &path, depth)
    }

    /// What a parameter or a variable holds, or a member of it; lists as JSON, for functions.
    fn held(&self, name: &str, value: Option<&Json>, path: &[String], depth: usize) -> String {
        let hint = path.last().filter(|text| text.parse::<u64>().is_err() && !text.contains('$'));
        let unknown = || format!("${{{}}}", variable_name(hint.map_or(name, String::as_str)));
        let step = |value: Json, at: &String| match (value, at.parse::<usize>()) {
            (Json::Array(list), Ok(at)) => list.get(at).cloned(),
            (Json::Object(map), _) => {
                map.into_iter().find(|it| it.0.eq_ignore_ascii_case(at)).map(|it| it.1)
            }
            _ => None,
        };
        // A variable may name itself by others; a circle ends at the depth.
        let found = value.cloned().filter(|_| depth < DEEPEST);
        match found.and_then(|value| path.iter().try_fold(value, step)) {
            Some(Json::String(text)) => match text.strip_prefix('[') {
                Some(inside) if text.ends_with(']') && !inside.starts_with('[') => {
                    let text = &inside[..inside.len() - 1];
                    Parser { template: self.template, text, at: 0 }.expression(depth + 1)
                }
                _ if text.is_empty() => unknown(),
                _ => text.replace('$', "$$"),
            },
            Some(Json::Null) | None => unknown(),
            Some(Json::Array(_) | Json::Object(_)) if depth == 0 => unknown(),
            Some(value) => value.to_string(),
        }
    }

    fn call(&self, name: &str, args: &[String], path: &[String], depth: usize) -> String {
        let first = args.first().cloned().unwrap_or_default();
        let template = self.template;
        let ends = |own: &str| path.last().is_some_and(|text| text.eq_ignore_ascii_case(own));
        match name {
            "parameters" => {
                let value = template.parameters.get(&first.to_lowercase());
                self.held(&first, value.and_then(Option::as_ref), path, depth)
            }
            "variables" => {
                self.held(&first, template.variables.get(&first.to_lowercase()), path, depth)
            }
            "copyindex" => match template.index {
                Some(index) => {
                    let offset = args.iter().find_map(|arg| arg.parse::<u64>().ok()).unwrap_or(0);
                    index.saturating_add(offset).to_string()
                }
                None => "${INDEX}".to_owned(),
            },
            "length" => match serde_json::from_str(&first) {
                Ok(Json::Array(list)) => list.len().to_string(),
                Ok(Json::Object(map)) => map.len().to_string(),
                _ => "${LENGTH}".to_owned(),
            },
            "equals" if !args.iter().any(|arg| arg.contains("${")) => {
                args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(&first)).to_string()
            }
            "not" if first == "true" || first == "false" => (first == "false").to_string(),
            "concat" => args.concat(),
            "format" => {
                let mut out = first;
                for (index, text) in args.iter().skip(1).enumerate() {
                    out = out.replace(&format!("{{{index}}}"), text);
                }
                out
            }
            "tolower" | "string" | "bool" | "int" | "trim" | "json" => first,
            "true" | "false" => name.to_owned(),
            "if" => match first.as_str() {
                "true" => args.get(1).cloned().unwrap_or_default(),
                "false" => args.get(2).cloned().unwrap_or_default(),
                // Which of the two is known only when the template is deployed.
                _ => "${CONDITION}".to_owned(),
            },
            "subscription" if ends("subscriptionid") => NO_SUBSCRIPTION.to_owned(),
            "subscription" => format!("/subscriptions/{NO_SUBSCRIPTION}"),
            "resourcegroup" if ends("name") => NO_GROUP.to_owned(),
            "resourcegroup" => {
                format!("/subscriptions/{NO_SUBSCRIPTION}/resourceGroups/{NO_GROUP}")
            }
            "resourceid" | "extensionresourceid" | "subscriptionresourceid" => {
                resource_id(name, args)
            }
            text if text.parse::<f64>().is_ok() => text.to_owned(),
            other => {
                let hint = path.last().map_or(other, String::as_str);
                format!("${{{}}}", variable_name(hint))
            }
        }
    }
}

/// `resourceId([subscription], [group], type, names…)`.
fn resource_id(name: &str, args: &[String]) -> String {
    let Some(at) = args.iter().position(|arg| {
        arg.contains('/') && arg.starts_with(|letter: char| letter.is_ascii_alphabetic())
    }) else {
        return "${RESOURCE_ID}".to_owned();
    };
    let (before, kind) = (&args[..at], args[at].as_str());
    let mut parts = kind.split('/');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for (kind, name) in parts.zip(args[at + 1..].iter().flat_map(|text| text.split('/'))) {
        path.extend(["/", kind, "/", name]);
    }
    if name == "extensionresourceid" {
        let scope = before.first().map_or("", String::as_str);
        return format!("{scope}/providers/{path}");
    }
    if name == "subscriptionresourceid" {
        return format!("/subscriptions/{NO_SUBSCRIPTION}/providers/{path}");
    }
    let (subscription, group) = match before {
        [subscription, group] => (subscription.as_str(), group.as_str()),
        [group] => (NO_SUBSCRIPTION, group.as_str()),
        _ => (NO_SUBSCRIPTION, NO_GROUP),
    };
    format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{path}")
}
