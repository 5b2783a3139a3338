//! Texts with marks in them for what is not known, and the patterns of shells.

use super::variable_name;

/// Begins a mark, ends it, and parts its default off.
pub(super) const MARK: char = '\u{1}';
pub(super) const END: char = '\u{2}';
pub(super) const OR: char = '\u{3}';

/// Begins the mark of a table, parts its entries, and each name from its value.
pub(super) const TABLE: &str = "table:";
pub(super) const AND: char = '\u{4}';
pub(super) const IS: char = '\u{5}';

/// A mark for what is not known.
pub(super) fn mark(hint: &str) -> String {
    let hint: String = hint.chars().filter(|letter| !letter.is_control()).take(300).collect();
    format!("{MARK}{hint}{END}")
}

/// The hint and the default of a text that is one mark.
pub(super) fn marked(text: &str) -> Option<(&str, Option<&str>)> {
    let inside = text.strip_prefix(MARK)?.strip_suffix(END)?;
    if inside.contains([MARK, END]) {
        return None;
    }
    Some(inside.split_once(OR).map_or((inside, None), |it| (it.0, Some(it.1))))
}

/// The text with its mark named after what it is assigned to.
pub(super) fn named(text: &str, name: &str) -> String {
    match marked(text.trim()) {
        Some((hint, _)) if hint.starts_with(TABLE) => text.to_owned(),
        Some((hint, _)) if hint.starts_with("show:") || hint.starts_with("cat:") => text.to_owned(),
        Some((_, Some(default))) => format!("${{{name}:-{default}}}"),
        Some((_, None)) => format!("${{{name}}}"),
        None => text.to_owned(),
    }
}

/// Whether a pattern of `*`, `?` and letters fits the whole text.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// `{1..3}` and `{a,b}`.
pub(super) fn braces(text: &str) -> Vec<String> {
    let whole = || vec![text.to_owned()];
    let Some((head, rest)) = text.split_once('{').filter(|it| !it.0.ends_with('$')) else {
        return whole();
    };
    let Some((inside, tail)) = rest.split_once('}') else { return whole() };
    if let Some((from, to)) = inside.split_once("..")
        && let (Ok(first), Ok(last)) = (from.parse::<u32>(), to.parse::<u32>())
        && last.abs_diff(first) < 2_000
    {
        let width = if from.starts_with('0') { from.len() } else { 0 };
        return (first.min(last)..=first.max(last))
            .map(|number| format!("{head}{number:0width$}{tail}"))
            .collect();
    }
    if inside.contains(',') {
        return inside.split(',').map(|part| format!("{head}{part}{tail}")).collect();
    }
    whole()
}

/// Words parted by blanks, but not inside marks and placeholders.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0_usize;
    for letter in text.chars() {
        match letter {
            MARK | '<' | '{' => depth += 1,
            END | '>' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter.is_whitespace() && depth == 0 {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(letter);
        }
    }
    out
}

/// The text around the first mark, and what is in it.
pub(super) fn cut(text: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = text.split_once(MARK)?;
    // Marks do not stand in marks; should one, the outer one is cut short.
    let (inside, tail) = rest.split_once(END).unwrap_or((rest, ""));
    Some((head, inside.split(MARK).next().unwrap_or_default(), tail))
}

pub(super) fn name_for(head: &str, tail: &str, hint: &str, option: &str) -> String {
    let lower =
        head[head.floor_char_boundary(head.len().saturating_sub(20))..].to_ascii_lowercase();
    let segments = [
        ("subscriptions/", "SUBSCRIPTION_ID"),
        ("resourcegroups/", "RESOURCE_GROUP"),
        ("clusters/", "CLUSTER_NAME"),
        ("workspaces/", "WORKSPACE_NAME"),
        ("identities/", "IDENTITY_NAME"),
    ];
    if let Some((_, name)) = segments.iter().find(|it| lower.ends_with(it.0)) {
        return (*name).to_owned();
    }
    if let Some(key) = head.strip_suffix('=') {
        return variable_name(key);
    }
    let good = hint.len() > 1 && !hint.starts_with("arg ") && !hint.starts_with("cat:");
    let option = Some(option).filter(|text| head.is_empty() && tail.is_empty() && text.len() > 2);
    variable_name(option.filter(|_| !good).unwrap_or(hint))
}

/// `${X%pattern}` and its kin.
pub(super) fn trim(sign: &str, pattern: &str, text: &str) -> String {
    if pattern.len() * text.len() > 100_000 {
        return text.to_owned();
    }
    let ends: Vec<usize> =
        text.char_indices().map(|it| it.0).chain([text.len()]).take(2_000).collect();
    let mut ends = ends.into_iter();
    let found = match sign {
        "%" => ends.rfind(|at| glob(pattern, &text[*at..])),
        "%%" => ends.find(|at| glob(pattern, &text[*at..])),
        "#" => ends.find(|at| glob(pattern, &text[..*at])),
        _ => ends.rfind(|at| glob(pattern, &text[..*at])),
    };
    let kept = found.map(|at| if sign.starts_with('%') { &text[..at] } else { &text[at..] });
    kept.unwrap_or(text).to_owned()
}
