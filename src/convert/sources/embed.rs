//! Scripts inside of other texts: fences of Markdown, cells of notebooks, steps of pipelines.

use std::collections::BTreeMap;

use crate::model::Json;

use super::super::script::{Piece, ScriptNote, Shell, TOOLS};

/// Whether a text may hold a command at all.
fn holds_command(text: &str) -> bool {
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

/// Names that `variables:` and `env:` of a pipeline set, and defaults of its parameters.
pub(super) fn variables(document: &Json, out: &mut BTreeMap<String, String>) {
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(_) | Json::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let mut put = |name: &str, value: &Json| {
        if let Some(value) =
            text(value).filter(|it| !it.contains("${{") && !it.contains("$(") && !it.contains("$["))
        {
            out.entry(name.to_owned()).or_insert_with(|| value.replace('$', "$$"));
        }
    };
    match document {
        Json::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("variables" | "env" | "environment" | "vars", Json::Object(own)) => {
                        own.iter().for_each(|(name, one)| {
                            // GitLab: `{value: x, description: y}`.
                            put(name, one.get("value").unwrap_or(one));
                        });
                    }
                    ("variables" | "parameters", Json::Array(list)) => {
                        for one in list {
                            let name = one.get("name").and_then(Json::as_str);
                            let value = one.get("value").or_else(|| one.get("default"));
                            if let (Some(name), Some(value)) = (name, value) {
                                put(name, value);
                            }
                        }
                    }
                    ("inputs", Json::Object(own)) => {
                        for (name, one) in own {
                            if let Some(value) = one.get("default") {
                                put(name, value);
                            }
                        }
                    }
                    _ => {}
                }
            }
            map.values().for_each(|it| variables(it, out));
        }
        Json::Array(list) => list.iter().for_each(|it| variables(it, out)),
        _ => {}
    }
}

/// The texts of a YAML file that hold commands, each as a script of its own.
pub(super) fn yaml(text: &str, base: usize) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut lines: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        lines.push((at, line));
        at += line.len();
    }
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let power = text.contains("scriptType: ps")
        || text.contains("scriptType: 'ps")
        || text.contains("shell: pwsh")
        || text.contains("shell: powershell");
    let batch = text.contains("scriptType: batch") || text.contains("shell: cmd");
    let mut index = 0;
    while let Some((start, line)) = lines.get(index).copied() {
        index += 1;
        let body = line.trim_end();
        let own = indent(line);
        let content = body.trim_start_matches([' ', '-']);
        let (key, value) = match content.split_once(": ") {
            Some((key, value)) if !key.contains(' ') => (key, value.trim()),
            _ => match content.strip_suffix(':') {
                Some(key) if !key.contains(' ') => (key, ""),
                _ => ("", content),
            },
        };
        let shell = match key.to_lowercase().as_str() {
            "pwsh" | "powershell" => Shell::Power,
            "inlinescript" | "script" | "run" | "inline" if power => Shell::Power,
            "inlinescript" | "script" | "run" if batch => Shell::Cmd,
            _ => Shell::Bash,
        };
        let mark = value.split_whitespace().next().unwrap_or_default();
        let block = mark.starts_with(['|', '>']) && mark.len() <= 3;
        let from = start + line.len();
        let deeper = lines[index..]
            .iter()
            .take_while(|(_, text)| text.trim().is_empty() || indent(text) > own)
            .count();
        let end = lines.get(index + deeper).map_or(text.len(), |it| it.0);
        if block {
            index += deeper;
            let script = text.get(from..end).unwrap_or_default();
            let folded = mark.starts_with('>');
            push(&mut out, shell, script, folded, base + from);
        } else if !value.is_empty() && !value.starts_with('#') {
            // A plain or quoted text, which may go on in deeper lines that are no keys.
            let begin = start + body.len() - value.len();
            let goes_on = !key.is_empty()
                || content.starts_with("az ")
                || body.trim_start().starts_with("- ");
            let more = lines[index..index + deeper]
                .iter()
                .take_while(|(_, text)| goes_on && !is_key(text))
                .count();
            let stop = lines.get(index + more).map_or(text.len(), |it| it.0);
            index += more;
            let script = text.get(begin..stop).unwrap_or_default();
            let quote = script.chars().next().filter(|it| ['"', '\''].contains(it));
            let inner = script.trim_end();
            let quoted = quote.filter(|it| inner.len() > 1 && inner.ends_with(*it));
            match quoted {
                Some(_) => {
                    push(&mut out, shell, &inner[1..inner.len() - 1], true, base + begin + 1)
                }
                None => push(&mut out, shell, script, true, base + begin),
            }
        }
    }
    out
}

fn is_key(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '-']);
    let key = line.split(':').next().unwrap_or_default();
    line.contains(':') && !key.contains([' ', '=', '/', '$']) && !key.starts_with('-')
}

fn push(out: &mut Vec<Piece>, shell: Shell, script: &str, folded: bool, at: usize) {
    if !holds_command(script) {
        // Assignments in one step do not reach the next.
        return;
    }
    let text = if folded { script.trim_end().replace('\n', " ") } else { script.to_owned() };
    // `$(name)` of Azure Pipelines is a variable, and not a program.
    out.push(Piece::whole(shell, &text, at));
}

/// The rounds that jobs with a matrix go: `strategy.matrix` of GitHub (lists to be combined, and
/// `include`) and of Azure Pipelines (named sets), `parallel.matrix` of GitLab.
pub(super) fn matrices(document: &Json, out: &mut Vec<Vec<BTreeMap<String, String>>>) {
    let (Json::Object(_) | Json::Array(_)) = document else { return };
    for key in ["strategy", "parallel"] {
        let sets = match document.get(key).and_then(|it| it.get("matrix")) {
            Some(Json::Array(list)) => list.iter().collect(),
            Some(value @ Json::Object(_)) => vec![value],
            _ => continue,
        };
        let rounds: Vec<_> = sets.into_iter().flat_map(rounds).collect();
        if !rounds.is_empty() {
            out.push(rounds);
        }
    }
    let below: Vec<&Json> = match document {
        Json::Object(map) => map.values().collect(),
        Json::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    below.into_iter().for_each(|it| matrices(it, out));
}

/// More rounds than this is no matrix of clusters.
const MOST_ROUNDS: usize = 2_000;

fn rounds(matrix: &Json) -> Vec<BTreeMap<String, String>> {
    let mut out = vec![BTreeMap::new()];
    let mut own = Vec::new();
    for (key, value) in matrix.as_object().into_iter().flatten() {
        match value {
            Json::Array(list) if key == "include" => own.extend(list.iter().map(flat)),
            Json::Array(list) => {
                let entries: Vec<_> =
                    list.iter().map(|it| flat(&serde_json::json!({ key.as_str(): it }))).collect();
                let mut all = Vec::new();
                for (round, entry) in out.iter().flat_map(|it| entries.iter().map(move |e| (it, e)))
                {
                    let mut round = round.clone();
                    round.extend(entry.clone());
                    all.push(round);
                }
                out = all;
            }
            Json::Object(_) if key != "exclude" => own.push(flat(value)),
            _ => {}
        }
        out.truncate(MOST_ROUNDS);
    }
    out.retain(|it| !it.is_empty());
    out.extend(own);
    out
}

/// Scalars of a map, those of maps in it by their own names.
fn flat(value: &Json) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Json::String(text) => drop(out.insert(key.clone(), text.replace('$', "$$"))),
            Json::Bool(_) | Json::Number(_) => drop(out.insert(key.clone(), value.to_string())),
            Json::Object(_) => out.extend(flat(value)),
            _ => {}
        }
    }
    out
}

/// Whether a script reads a variable of a matrix.
pub(super) fn reads(script: &str, rounds: &[BTreeMap<String, String>]) -> bool {
    rounds.iter().flat_map(BTreeMap::keys).any(|key| {
        let signs = [format!("$({key})"), format!("${key}"), format!("${{{key}}}")];
        let expression = script.contains("matrix.") && script.contains(&format!(".{key}"));
        expression || signs.iter().any(|it| script.contains(it))
    })
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
