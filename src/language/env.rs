//! `${VAR}`, `${VAR:-default}` and `$$` in the texts of a manifest.

/// What is wrong with a text that reads the environment.
pub(super) enum Problem {
    /// It names no variable: what is wrong, and where.
    Bad(String, &'static str),
    /// This variable is not set.
    Unset(String),
}

/// Replaces variables; what cannot be replaced stays as it is and is reported.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> (String, Vec<Problem>) {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some(end) = after.find('}') else {
                problems.push(Problem::Bad("`${` without a closing brace".into(), "opened here"));
                out.push('$');
                break;
            };
            match variable(&after[..end], env) {
                Ok(value) => out.push_str(&value),
                Err(problem) => problems.push(problem),
            }
            rest = &after[end + 1..];
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    (out, problems)
}

fn variable(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        let message = format!("`${{{inside}}}` does not name an environment variable");
        return Err(Problem::Bad(message, "here"));
    }
    // As in a shell, `:-` also covers a variable that is set to nothing.
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Problem::Unset(name.to_owned())),
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_')
        && chars.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The variable, where the whole text is one `${NAME}`.
pub(super) fn sole_variable(template: &str) -> Option<&str> {
    let name = template.strip_prefix("${")?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_dollars_are_read_as_documented() {
        let env = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("x${A}y", "xoney", 0),
            ("${A}${A}", "oneone", 0),
            ("${B:-two}", "two", 0),
            ("${EMPTY:-two}|${EMPTY}", "two|", 0),
            ("$$A $A 5$", "$A $A 5$", 0),
            ("${B}", "", 1),
            ("${}", "", 1),
            ("${A", "${A", 1),
            ("${B} ${C}", " ", 2),
        ];
        for (text, expected, problems) in cases {
            let (value, found) = expand(text, &env);
            assert_eq!((value.as_str(), found.len()), (expected, problems), "{text}");
        }
        assert_eq!(sole_variable("${A}"), Some("A"));
        assert_eq!(sole_variable("x${A}"), None);
    }
}
