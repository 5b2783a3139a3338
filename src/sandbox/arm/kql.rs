//! The part of the Kusto query language that tools use for inventories: a table and `where`, `project`, `extend`,
//! `order by`, `take`/`limit`, `count`, `distinct` ("Azure docs: Resource Graph query language"). Anything else is refused.

use serde_json::{Value as Json, json};

/// A parsed query.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) table: String,
    stages: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Query, String> {
        let mut parts = split(text, '|').into_iter();
        let first = parts.next().unwrap_or_default();
        if first.is_empty() {
            return Err("the query is empty".to_owned());
        }
        let rest: Vec<String> = parts.collect();
        // A query may begin with an operator; the table is then `resources`.
        if first.split_whitespace().count() > 1 {
            let stages = std::iter::once(first).chain(rest).collect();
            return Ok(Query { table: "resources".to_owned(), stages });
        }
        Ok(Query { table: first, stages: rest })
    }

    pub(crate) fn run(&self, mut rows: Vec<Json>) -> Result<Vec<Json>, String> {
        for stage in &self.stages {
            let (verb, rest) = stage.split_once(char::is_whitespace).unwrap_or((stage, ""));
            rows = match verb.to_ascii_lowercase().as_str() {
                "where" => filter(rows, rest)?,
                "project" => {
                    rows.iter().map(|row| project(row, rest, false)).collect::<Result<_, _>>()?
                }
                "extend" => {
                    rows.iter().map(|row| project(row, rest, true)).collect::<Result<_, _>>()?
                }
                "distinct" => {
                    let mut seen: Vec<Json> = Vec::new();
                    for row in &rows {
                        let row = project(row, rest, false)?;
                        if !seen.contains(&row) {
                            seen.push(row);
                        }
                    }
                    seen
                }
                "order" | "sort" => order(rows, rest)?,
                "take" | "limit" => {
                    let count: usize = rest
                        .trim()
                        .parse()
                        .map_err(|_| format!("'{rest}' is not a number of rows"))?;
                    rows.truncate(count);
                    rows
                }
                "count" => vec![json!({"Count": rows.len()})],
                other => {
                    return Err(format!(
                        "the operator '{other}' is not supported by the simulator"
                    ));
                }
            };
        }
        Ok(rows)
    }
}

/// Splits at a separator that stands outside quotes and parentheses.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quote, mut depth) = (None, 0i32);
    for c in text.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            _ => {}
        }
        if quote.is_none() && depth == 0 && c == separator {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' | '"' => {
                let mut value = String::new();
                for next in chars.by_ref() {
                    if next == c {
                        break;
                    }
                    value.push(next);
                }
                found.push(Token::Text(value));
            }
            '=' | '!' | '<' | '>' => {
                let mut sign = c.to_string();
                while chars.peek().is_some_and(|n| ['=', '~', '!'].contains(n)) {
                    sign.extend(chars.next());
                }
                found.push(Token::Sign(sign));
            }
            '(' | ')' | ',' | '[' | ']' => found.push(Token::Sign(c.to_string())),
            c => {
                let mut word = c.to_string();
                while chars.peek().is_some_and(|n| n.is_alphanumeric() || "_.-~$".contains(*n)) {
                    word.extend(chars.next());
                }
                found.push(Token::Word(word));
            }
        }
    }
    found
}

fn filter(rows: Vec<Json>, condition: &str) -> Result<Vec<Json>, String> {
    let all = tokens(condition);
    let mut kept = Vec::new();
    for row in rows {
        let mut reader = RowReader { tokens: &all, at: 0, depth: 0 };
        let holds = reader.any(&row)?;
        if reader.at != all.len() {
            return Err(format!("unexpected text in condition '{condition}'"));
        }
        if holds {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn project(row: &Json, list: &str, keep: bool) -> Result<Json, String> {
    let mut result = if keep { row.clone() } else { json!({}) };
    for item in split(list, ',') {
        let (name, expression) = match item.split_once('=') {
            Some((name, expression)) => (name.trim().to_owned(), expression.trim().to_owned()),
            None => (item.rsplit('.').next().unwrap_or(&item).to_owned(), item.clone()),
        };
        let all = tokens(&expression);
        let mut reader = RowReader { tokens: &all, at: 0, depth: 0 };
        result[name.as_str()] = reader.value(row)?;
    }
    Ok(result)
}

fn order(mut rows: Vec<Json>, rest: &str) -> Result<Vec<Json>, String> {
    let rest = rest.trim();
    let list =
        rest.strip_prefix("by ").ok_or_else(|| format!("'by' is missing in 'order {rest}'"))?;
    for item in split(list, ',').into_iter().rev() {
        let mut words = item.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let ascending = words.next().is_some_and(|word| word.eq_ignore_ascii_case("asc"));
        rows.sort_by(|a, b| {
            let (a, b) = (plain(&member(a, &name)), plain(&member(b, &name)));
            if ascending { a.cmp(&b) } else { b.cmp(&a) }
        });
    }
    Ok(rows)
}

/// How deep conditions and calls may be nested.
const DEEPEST: usize = 64;

/// Evaluates tokens against a row.
struct RowReader<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl RowReader<'_> {
    fn peek_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }

    fn peek_sign(&self, sign: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Sign(s)) if s == sign)
    }

    /// Goes one level down with `what`, if that is not too deep.
    fn deeper<T>(
        &mut self,
        what: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.depth == DEEPEST {
            return Err(format!("the query is nested deeper than {DEEPEST} levels"));
        }
        self.depth += 1;
        let found = what(self);
        self.depth -= 1;
        found
    }

    fn any(&mut self, row: &Json) -> Result<bool, String> {
        let mut holds = self.all(row)?;
        while self.peek_word("or") {
            self.at += 1;
            holds |= self.all(row)?;
        }
        Ok(holds)
    }

    fn all(&mut self, row: &Json) -> Result<bool, String> {
        let mut holds = self.one(row)?;
        while self.peek_word("and") {
            self.at += 1;
            holds &= self.one(row)?;
        }
        Ok(holds)
    }

    fn one(&mut self, row: &Json) -> Result<bool, String> {
        if self.peek_sign("(") {
            self.at += 1;
            let holds = self.deeper(|row_reader| row_reader.any(row))?;
            self.expect(")")?;
            return Ok(holds);
        }
        let negated = self.peek_word("not");
        if negated {
            self.at += 1;
            return self.deeper(|row_reader| row_reader.one(row)).map(|holds| !holds);
        }
        let left = plain(&self.value(row)?);
        let operator = match self.tokens.get(self.at) {
            Some(Token::Sign(sign)) => sign.clone(),
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => return Err("an operator is missing in a condition".to_owned()),
        };
        self.at += 1;
        // `!in~` and `!contains` come as two tokens.
        let (operator, negated) = match (operator.as_str(), self.tokens.get(self.at)) {
            ("!", Some(Token::Word(word))) => {
                self.at += 1;
                (word.to_ascii_lowercase(), true)
            }
            _ => (operator, false),
        };
        let lower = left.to_ascii_lowercase();
        let holds = match operator.as_str() {
            "==" => left == self.text(row)?,
            "!=" => left != self.text(row)?,
            "=~" => lower == self.text(row)?.to_ascii_lowercase(),
            "!~" => lower != self.text(row)?.to_ascii_lowercase(),
            "contains" | "has" => lower.contains(&self.text(row)?.to_ascii_lowercase()),
            "startswith" => lower.starts_with(&self.text(row)?.to_ascii_lowercase()),
            "endswith" => lower.ends_with(&self.text(row)?.to_ascii_lowercase()),
            "in" => self.list(row)?.contains(&left),
            "in~" => self.list(row)?.iter().any(|item| item.eq_ignore_ascii_case(&left)),
            other => {
                return Err(format!("the operator '{other}' is not supported by the simulator"));
            }
        };
        Ok(holds != negated)
    }

    fn list(&mut self, row: &Json) -> Result<Vec<String>, String> {
        self.expect("(")?;
        let mut items = vec![self.text(row)?];
        while self.peek_sign(",") {
            self.at += 1;
            items.push(self.text(row)?);
        }
        self.expect(")")?;
        Ok(items)
    }

    fn text(&mut self, row: &Json) -> Result<String, String> {
        self.value(row).map(|value| plain(&value))
    }

    fn value(&mut self, row: &Json) -> Result<Json, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("a value is missing")?;
        self.at += 1;
        match token {
            Token::Text(text) => Ok(json!(text)),
            Token::Word(word) if self.peek_sign("(") => {
                self.at += 1;
                let inner = self.deeper(|row_reader| row_reader.value(row))?;
                self.expect(")")?;
                match word.to_ascii_lowercase().as_str() {
                    "tolower" => Ok(json!(plain(&inner).to_ascii_lowercase())),
                    "toupper" => Ok(json!(plain(&inner).to_ascii_uppercase())),
                    "tostring" | "tobool" | "toint" => Ok(json!(plain(&inner))),
                    "isempty" => Ok(json!(plain(&inner).is_empty())),
                    "isnotempty" => Ok(json!(!plain(&inner).is_empty())),
                    other => {
                        Err(format!("the function '{other}' is not supported by the simulator"))
                    }
                }
            }
            Token::Word(word) => {
                let mut value = if word.bytes().all(|b| b.is_ascii_digit())
                    || word == "true"
                    || word == "false"
                {
                    json!(word)
                } else {
                    member(row, &word)
                };
                while self.peek_sign("[") {
                    self.at += 1;
                    let key = self.deeper(|row_reader| row_reader.text(row))?;
                    self.expect("]")?;
                    value = value.get(key.as_str()).cloned().unwrap_or(Json::Null);
                }
                Ok(value)
            }
            Token::Sign(sign) => Err(format!("unexpected '{sign}'")),
        }
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.peek_sign(sign) {
            self.at += 1;
            return Ok(());
        }
        Err(format!("'{sign}' is missing"))
    }
}

fn member(row: &Json, path: &str) -> Json {
    path.split('.').try_fold(row, |at, name| at.get(name)).cloned().unwrap_or(Json::Null)
}

fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_queries_of_the_documentation_run() {
        let rows = || {
            vec![
                json!({"id": "/a", "type": "microsoft.kubernetes/connectedclusters", "name": "b", "properties": {"x": "1"}}),
                json!({"id": "/c", "type": "microsoft.relay/namespaces", "name": "a", "properties": {"x": "2"}}),
            ]
        };
        let run = |text: &str| Query::parse(text).and_then(|query| query.run(rows()));
        for (query, ids) in [
            (
                "resources | where type =~ 'Microsoft.Kubernetes/connectedClusters' | project id, name",
                vec!["/a"],
            ),
            (
                "Resources | where type in~ ('microsoft.relay/namespaces', 'y') or name == \"b\" | order by name asc",
                vec!["/c", "/a"],
            ),
            (
                "resources | where (type contains 'relay') and not (name == 'b') | take 1",
                vec!["/c"],
            ),
            (
                "resources | where tostring(properties.x) == '1' and properties['x'] !in~ ('2')",
                vec!["/a"],
            ),
            ("where type has 'kubernetes'", vec!["/a"]),
        ] {
            let found = run(query).unwrap_or_else(|problem| panic!("{query}: {problem}"));
            let found: Vec<&str> = found.iter().filter_map(|row| row["id"].as_str()).collect();
            assert_eq!(found, ids, "{query}");
        }
        assert_eq!(run("resources | count").expect("runs"), vec![json!({"Count": 2})]);
        assert!(run("resources | mv-expand x").is_err());
        for (open, close) in [("(", ")"), ("not ", ""), ("tolower(", ")"), ("x[", "]")] {
            let deep = format!("{}name{}", open.repeat(100_000), close.repeat(100_000));
            let problem = run(&format!("resources | where {deep} == 'a'")).expect_err("refused");
            assert!(problem.contains("nested deeper"), "{open}: {problem}");
        }
    }
}
