//! Scripts inside of other texts: fences of Markdown, cells of notebooks, steps of pipelines.

use crate::model::Json;

use super::super::script::{Piece, ScriptNote, Shell, TOOLS};

/// Whether a text may hold a command at all.
pub(super) fn holds_command(text: &str) -> bool {
    ["az ", "oc ", "kubectl "].iter().any(|it| text.contains(it))
}

/// The fences of a page, and the lines outside of them that are commands, or list accounts. Of
/// fences for several shells, those that hold the most commands.
pub(super) fn markdown(text: &str, base: usize, notes: &mut Vec<ScriptNote>) -> Vec<Piece> {
    let shells = [Shell::Bash, Shell::Power, Shell::Cmd];
    let mut masked: Vec<String> = vec![String::with_capacity(text.len()); 3];
    let mut counts = [0_usize; 3];
    let mut fence: Option<Option<usize>> = None;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let blank: String = line.bytes().map(|it| if it == b'\n' { '\n' } else { ' ' }).collect();
        let mut keep = None;
        if let Some(info) =
            trimmed.strip_prefix("```").filter(|it| fence.is_some() || !it.trim_end().contains('`'))
        {
            fence = if fence.is_some() { None } else { Some(shell_of(info.trim())) };
        } else {
            keep = match fence {
                Some(shell) => shell,
                None => outside(trimmed).then_some(0),
            };
        }
        for (index, text) in masked.iter_mut().enumerate() {
            let kept = keep == Some(index);
            counts[index] += usize::from(kept && fence.is_some() && trimmed.contains("az "));
            text.push_str(if kept { line } else { &blank });
        }
    }
    let best = (0..3).max_by_key(|it| (counts[*it], 3 - it)).unwrap_or(0);
    let left: usize = (0..3).filter(|it| *it != best).map(|it| counts[it]).sum();
    if left > 0 {
        let why = format!(
            "{left} lines for other shells are taken for the same commands again and left out"
        );
        notes.push(ScriptNote::Left(base..base + 1, why));
    }
    let piece = |index: usize| Piece::whole(shells[index], &masked[index], base);
    let mut out = vec![piece(best)];
    if best != 0 && masked[0].trim() != "" && counts[0] == 0 {
        out.insert(0, piece(0));
    }
    out
}

fn outside(line: &str) -> bool {
    let tool =
        line.split_whitespace().next().is_some_and(|it| ["az", "oc", "kubectl"].contains(&it));
    tool || line.contains("system:serviceaccount:") || line.contains("oc edit scc")
}

/// Which of the three shells a fence is for; `None` for other languages.
fn shell_of(info: &str) -> Option<usize> {
    let word =
        info.trim_start_matches(['{', '.']).split([' ', '}', ',', '{']).next().unwrap_or_default();
    match word.to_lowercase().as_str() {
        ""
        | "bash"
        | "sh"
        | "shell"
        | "azurecli"
        | "azurecli-interactive"
        | "console"
        | "zsh"
        | "cli"
        | "bash-interactive"
        | "terminal"
        | "text" => Some(0),
        "powershell" | "pwsh" | "azurepowershell" | "powershell-interactive" | "ps1" => Some(1),
        "cmd" | "bat" | "batch" => Some(2),
        _ => None,
    }
}

/// The cells of a notebook that call programs.
pub(super) fn notebook(text: &str, base: usize) -> Vec<Piece> {
    let Ok(document) = serde_json::from_str::<Json>(text) else { return Vec::new() };
    let mut piece = Piece { shell: Shell::Bash, text: String::new(), anchors: Vec::new() };
    let mut from = 0;
    let cells = document.get("cells").and_then(Json::as_array).into_iter().flatten();
    for cell in cells.filter(|it| it.get("cell_type").and_then(Json::as_str) == Some("code")) {
        let source = cell.get("source");
        let lines: Vec<String> = match source {
            Some(Json::String(text)) => text.split_inclusive('\n').map(str::to_owned).collect(),
            Some(Json::Array(values)) => {
                values.iter().filter_map(Json::as_str).map(str::to_owned).collect()
            }
            _ => continue,
        };
        let shell_cell =
            lines.first().is_some_and(|it| it.starts_with("%%bash") || it.starts_with("%%sh"));
        let mut goes_on = false;
        for line in &lines {
            // Where the line stands in the file, as JSON writes it.
            let written = Json::from(line.trim_end_matches('\n')).to_string();
            let written = written.trim_matches('"');
            let at = text.get(from..).and_then(|it| it.find(written)).map_or(from, |it| from + it);
            from = at;
            let trimmed = line.trim_start();
            let command = trimmed.strip_prefix('!').or_else(|| trimmed.strip_prefix("%sx "));
            let set = python_set(trimmed);
            let kept = match (command, set) {
                (Some(text), _) => text.to_owned(),
                (None, _) if goes_on || shell_cell => line.clone(),
                (None, Some(set)) => set,
                (None, None) => continue,
            };
            goes_on = (command.is_some() || goes_on) && line.trim_end().ends_with('\\');
            piece.anchors.push((piece.text.len(), base + at));
            // `{name}` is a variable of Python there.
            piece.text.push_str(&if command.is_some() || goes_on || line.contains('{') {
                braced(&kept)
            } else {
                kept
            });
            if !piece.text.ends_with('\n') {
                piece.text.push('\n');
            }
        }
    }
    if piece.anchors.is_empty() { Vec::new() } else { vec![piece] }
}

/// `name = "text"` of Python, as the shell would say it.
fn python_set(line: &str) -> Option<String> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim().trim_start_matches('f'));
    let good = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    let quote = value.chars().next().filter(|it| ['"', '\''].contains(it))?;
    let inside = value.get(1..)?.split(quote).next()?;
    (good && !inside.contains(['$', '\\', '"'])).then(|| format!("{name}=\"{}\"\n", braced(inside)))
}

/// `{name}` → `${name}`.
fn braced(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let name: String =
            tail[1..].chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
        if !name.is_empty() && tail[1 + name.len()..].starts_with('}') && !head.ends_with('$') {
            out.push('$');
        }
        out.push('{');
        rest = &tail[1..];
    }
    out + rest
}

/// What a Python program starts: lists of words that begin with one of the tools, and commands in
/// one text. Names become variables.
pub(super) fn python(text: &str, base: usize) -> Piece {
    let mut piece = Piece { shell: Shell::Bash, text: String::new(), anchors: Vec::new() };
    let mut at = 0;
    // Lists that begin like commands and are none: after so many this is no program.
    let mut broken = 100_usize;
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        let begun = rest.strip_prefix('[').filter(|it| broken > 0 && python_tool(it));
        let list = begun.and_then(python_list);
        broken -= usize::from(begun.is_some() && list.is_none());
        let call = if rest.starts_with(['"', '\'']) { python_text(rest) } else { None };
        let line = || rest.split('\n').next().unwrap_or_default();
        let set = (at == 0 || text[..at].ends_with('\n')).then(|| python_set(line())).flatten();
        let (line, length) = match (list, call, set) {
            (Some((words, length)), ..) => (words.join(" ") + "\n", length + 1),
            (None, Some((said, length)), _) if holds_command(&said) => {
                let said = if text[..at].ends_with('f') { braced(&said) } else { said };
                (said + "\n", length)
            }
            (None, Some((_, length)), _) => {
                at += length;
                continue;
            }
            (None, None, Some(set)) => (set, line().len()),
            (None, None, None) => {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            }
        };
        piece.anchors.push((piece.text.len(), base + at));
        piece.text.push_str(&line);
        at += length;
    }
    piece
}

/// Whether a list begins with one of the tools.
fn python_tool(rest: &str) -> bool {
    let first = rest.trim_start().trim_start_matches(['f', 'r', '"', '\'']);
    let tool = TOOLS.iter().find_map(|it| first.strip_prefix(*it));
    tool.is_some_and(|it| it.starts_with(['"', '\'']))
}

/// The words of `"az", "ml", name]`, and its length.
fn python_list(rest: &str) -> Option<(Vec<String>, usize)> {
    /// A command line has fewer bytes.
    const LONGEST: usize = 16 << 10;
    let rest = &rest[..rest.floor_char_boundary(LONGEST)];
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let rest = rest.get(at..)?;
        let next = rest.chars().next()?;
        if next == ']' {
            break;
        }
        if next.is_whitespace() || next == ',' {
            at += next.len_utf8();
            continue;
        }
        let prefix =
            usize::from(rest.starts_with(['f', 'r']) && rest[1..].starts_with(['"', '\'']));
        if let Some((said, length)) = python_text(&rest[prefix..]) {
            words.push(format!("\"{}\"", braced(&said.replace('"', "\\\""))));
            at += prefix + length;
            continue;
        }
        let end = rest.find([',', ']', '\n'])?;
        let name: String =
            rest[..end].chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
        words.push(format!("\"${{{}}}\"", if name.is_empty() { "VALUE" } else { &name }));
        at += end;
    }
    Some((words, at + 1))
}

/// A text in quotes, and how long it is written.
fn python_text(rest: &str) -> Option<(String, usize)> {
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|it| rest.starts_with(it))?;
    let inside = rest.get(quote.len()..)?;
    let end = inside.find(quote)?;
    Some((inside[..end].to_owned(), end + 2 * quote.len()))
}
