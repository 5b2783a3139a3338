//! TOML → [`Node`]. The only file that knows the TOML parser.

use std::sync::Arc;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use crate::source::Diagnostic;

use super::node::{Data, Entry, Node, TreeBuilder};

/// A fleet of ten thousand clusters has a third of that.
const MAX_MARKS: usize = 1_000_000;

/// The document of a file, or nothing where it cannot be read; every syntax error is reported.
pub(super) fn parse(builder: &mut TreeBuilder<'_>) -> Option<Arc<Node>> {
    let source = Arc::clone(builder.source);
    // The parser makes a value of each of these, of some hundred bytes.
    let marks = source.text.bytes().filter(|byte| b"=[{,.".contains(byte)).count();
    if marks > MAX_MARKS {
        let message = format!("`{}` holds too many values for TOML", source.path.display());
        builder.report(
            Diagnostic::error("too-many-values", message)
                .with_help("split it into several files in one folder, or write it in YAML"),
        );
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let range = error.span().unwrap_or(0..0);
        let finding = if error.message().starts_with("duplicate key") {
            Diagnostic::error(
                "duplicate-key",
                format!("`{}` is given twice", source.text.get(range.clone()).unwrap_or_default()),
            )
            .with_help("keep one of the two")
        } else {
            Diagnostic::error("toml-syntax", format!("this is not TOML: {}", error.message()))
                .with_help("check quotes, brackets and `=` around here")
        };
        let end = range.end.max(range.start + 1).min(source.text.len());
        builder.report(finding.at(Some(builder.span(range.start, end).place()), "here"));
    }
    if !errors.is_empty() {
        return None;
    }
    let range = table.span();
    let entries = entries(builder, table.into_inner());
    Some(Arc::new(Node { span: builder.span(range.start, range.end), data: Data::Map(entries) }))
}

fn entries(builder: &mut TreeBuilder<'_>, table: DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .into_iter()
        .map(|(key, value)| {
            let range = key.span();
            let at = builder.span(range.start, range.end);
            let entry = Entry { key: (&**key.get_ref()).into(), at, value: node(builder, value) };
            (range.start, entry)
        })
        .collect();
    // The parser sorts by name; messages should follow the file.
    entries.sort_by_key(|(start, _)| *start);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn node(builder: &mut TreeBuilder<'_>, value: Spanned<DeValue<'_>>) -> Arc<Node> {
    let range = value.span();
    let span = builder.span(range.start, range.end);
    let data = match value.into_inner() {
        DeValue::String(text) => builder.text(&text, &span),
        DeValue::Integer(number) => integer(number.as_str(), number.radix()),
        DeValue::Float(_) => Data::Odd("a decimal number"),
        DeValue::Boolean(flag) => Data::Bool(flag),
        // As in YAML, where a date needs no quotes.
        DeValue::Datetime(date) => builder.text(&date.to_string(), &span),
        DeValue::Array(items) => {
            Data::List(items.into_iter().map(|spanned| node(builder, spanned)).collect())
        }
        DeValue::Table(table) => Data::Map(entries(builder, table)),
    };
    Arc::new(Node { span, data })
}

fn integer(text: &str, radix: u32) -> Data {
    i64::from_str_radix(text, radix).map_or(Data::Odd("a number beyond all bounds"), Data::Int)
}
