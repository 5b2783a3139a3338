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
            notated: false,
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

    fn value(&self, value: &Json) -> String {
        match value {
            Json::String(text) => self.text(text),
            Json::Null => String::new(),
            other => other.to_string(),
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
        let mut path = String::new();
        while self.at < self.text.len()
            && (self.rest().starts_with('.') || self.rest().starts_with('['))
        {
            let rest = self.rest();
            let end = rest[1..]
                .find(|it: char| !letter(it) && it != '\'')
                .map_or(rest.len(), |it| it + 1);
            path.push_str(&rest[..end]);
            self.at += end;
            self.eat(']');
        }
        self.call(&name, &args, &path.to_lowercase(), depth)
    }

    fn call(&self, name: &str, args: &[String], path: &str, depth: usize) -> String {
        let first = args.first().cloned().unwrap_or_default();
        let template = self.template;
        match name {
            "parameters" => match template.parameters.get(&first.to_lowercase()) {
                Some(Some(value))
                    if depth < DEEPEST && !matches!(value, Json::Object(_) | Json::Array(_)) =>
                {
                    let text = template.value(value);
                    if text.is_empty() { format!("${{{}}}", variable_name(&first)) } else { text }
                }
                _ => format!("${{{}}}", variable_name(&first)),
            },
            "variables" => match template.variables.get(&first.to_lowercase()) {
                // A variable may name itself by others; a circle ends at the depth.
                Some(Json::String(text)) if depth < DEEPEST => {
                    let inside = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
                    match inside {
                        Some(text) => Parser { template, text, at: 0 }.expression(depth + 1),
                        None => text.replace('$', "$$"),
                    }
                }
                Some(value) if !matches!(value, Json::Object(_) | Json::Array(_)) => {
                    value.to_string()
                }
                _ => format!("${{{}}}", variable_name(&first)),
            },
            "concat" => args.concat(),
            "format" => {
                let mut out = first;
                for (index, text) in args.iter().skip(1).enumerate() {
                    out = out.replace(&format!("{{{index}}}"), text);
                }
                out
            }
            "tolower" => first,
            "string" | "bool" | "int" | "trim" => first,
            "true" | "false" => name.to_owned(),
            "json" => first,
            "if" => match first.as_str() {
                "true" => args.get(1).cloned().unwrap_or_default(),
                "false" => args.get(2).cloned().unwrap_or_default(),
                // Which of the two is known only when the template is deployed.
                _ => "${CONDITION}".to_owned(),
            },
            "subscription" if path.contains("subscriptionid") => NO_SUBSCRIPTION.to_owned(),
            "subscription" => format!("/subscriptions/{NO_SUBSCRIPTION}"),
            "resourcegroup" if path.contains("name") => NO_GROUP.to_owned(),
            "resourcegroup" => {
                format!("/subscriptions/{NO_SUBSCRIPTION}/resourceGroups/{NO_GROUP}")
            }
            "resourceid" | "extensionresourceid" | "subscriptionresourceid" => {
                resource_id(name, args)
            }
            text if text.parse::<f64>().is_ok() => text.to_owned(),
            other => {
                let hint =
                    path.rsplit(['.', '[']).next().filter(|it| it.len() > 1).unwrap_or(other);
                format!("${{{}}}", variable_name(hint))
            }
        }
    }
}

/// `resourceId([subscription], [group], type, names…)`.
fn resource_id(name: &str, args: &[String]) -> String {
    let Some(at) = args
        .iter()
        .position(|it| it.contains('/') && it.starts_with(|it: char| it.is_ascii_alphabetic()))
    else {
        return "${RESOURCE_ID}".to_owned();
    };
    let (before, kind) = (&args[..at], args[at].as_str());
    let mut parts = kind.split('/');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for (kind, name) in parts.zip(args[at + 1..].iter().flat_map(|it| it.split('/'))) {
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
