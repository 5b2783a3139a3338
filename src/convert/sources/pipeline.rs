//! Pipelines, playbooks and whatever else keeps commands in YAML: a walk over its values, with the
//! variables, the loops and the shell that hold where each stands.

use std::collections::BTreeMap;

use super::super::script::{Piece, ScriptNote, Shell, TOOLS};
use super::embed::holds_command;
use crate::model::Json;

const DEEPEST: usize = 40;
/// More rounds, or more scripts, than this is no pipeline of clusters.
const MOST: usize = 2_000;
/// Places at which the first word of a script is looked at.
const MOST_PLACES: usize = 4_000;

type Round = BTreeMap<String, String>;

/// What holds where a value stands.
#[derive(Clone)]
struct YamlScope {
    variables: Round,
    /// Parameters and variables that are lists.
    lists: BTreeMap<String, Json>,
    loops: Vec<Vec<Round>>,
    shell: Shell,
}

/// Scripts in the order of the file, each with its variables: once for each round of its loops.
pub(super) fn scripts(
    documents: &[Json],
    text: &str,
    base: usize,
    notes: &mut Vec<ScriptNote>,
) -> Vec<(Piece, Round)> {
    let mut out = Vec::new();
    for root in documents {
        let (variables, lists) = (Round::new(), BTreeMap::new());
        let mut scope = YamlScope { variables, lists, loops: Vec::new(), shell: Shell::Bash };
        inputs(root, &mut scope, 0);
        let seen = BTreeMap::new();
        let mut walk = Walk { text, base, root, seen, out: Vec::new(), notes: Vec::new() };
        walk.value("", root, &scope, 0);
        out.append(&mut walk.out);
        notes.append(&mut walk.notes);
    }
    out.sort_by_key(|it| it.0.anchors.first().map_or(0, |it| it.1));
    out
}

/// Inputs and parameters hold in the whole file.
fn inputs(value: &Json, scope: &mut YamlScope, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Json::Object(map) => {
            for (key, own) in map {
                if matches!(key.as_str(), "inputs" | "parameters") {
                    scope.define(own);
                }
                inputs(own, scope, depth + 1);
            }
        }
        Json::Array(list) => list.iter().for_each(|value| inputs(value, scope, depth + 1)),
        _ => {}
    }
}

impl YamlScope {
    /// `name: value`, `name: {default: value}`, `[{name: …, value: …}]`.
    fn define(&mut self, value: &Json) {
        let inner = |one: &Json| {
            let own = one.get("value").or_else(|| one.get("default"));
            own.unwrap_or(one).clone()
        };
        match value {
            Json::Object(map) => {
                map.iter().for_each(|(name, one)| self.put(name, inner(one)));
            }
            Json::Array(list) => {
                for one in list {
                    if let Some(name) = one.get("name").and_then(Json::as_str)
                        && (one.get("value").is_some() || one.get("default").is_some())
                    {
                        self.put(name, inner(one));
                    }
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, name: &str, value: Json) {
        let text = match value {
            Json::String(text) => text,
            Json::Bool(_) | Json::Number(_) => value.to_string(),
            Json::Array(_) | Json::Object(_) => {
                self.lists.insert(name.to_owned(), value);
                return;
            }
            Json::Null => return,
        };
        // What reads another variable is known when the pipeline runs.
        if !["${{", "$(", "$["].iter().any(|it| text.contains(it)) {
            self.variables.insert(name.to_owned(), text.replace('$', "$$"));
        }
    }

    /// The rounds over a list, or over the variable that an expression names.
    fn rounds_over(&self, name: &str, list: &Json) -> Option<Vec<Round>> {
        let list = match list {
            Json::String(text) => {
                let own = text.trim().trim_matches(['{', '}', ' ']);
                self.lists.get(own.rsplit('.').next().unwrap_or(own).trim())?
            }
            other => other,
        };
        let named = |value: &Json| flat(&serde_json::json!({ name: value }));
        Some(match list {
            Json::Array(list) => list.iter().map(named).collect(),
            Json::Object(map) => {
                let entry = |(key, value): (&String, &Json)| {
                    let mut round = named(value);
                    round.insert("key".to_owned(), key.clone());
                    round.extend(value.as_str().map(|text| ("value".to_owned(), text.to_owned())));
                    round
                };
                map.iter().map(entry).collect()
            }
            _ => return None,
        })
    }
}

struct Walk<'a> {
    text: &'a str,
    base: usize,
    root: &'a Json,
    /// Where the last script of the same text was found.
    seen: BTreeMap<String, usize>,
    out: Vec<(Piece, Round)>,
    notes: Vec<ScriptNote>,
}

impl Walk<'_> {
    fn value(&mut self, key: &str, value: &Json, scope: &YamlScope, depth: usize) {
        let aside = matches!(key, "name" | "displayName" | "description" | "title");
        if depth > DEEPEST || aside || self.out.len() > MOST {
            return;
        }
        match value {
            Json::String(text) if holds_command(text) => self.script(key, text, scope),
            Json::Array(list) => self.list(key, list, scope, depth),
            Json::Object(map) => self.map(map, scope, depth),
            _ => {}
        }
    }

    fn list(&mut self, key: &str, list: &[Json], scope: &YamlScope, depth: usize) {
        let texts: Vec<&str> = list.iter().filter_map(Json::as_str).collect();
        if let [job, part] = texts[..]
            && let Some(found) = self.root.get(job).and_then(|value| value.get(part))
        {
            // `!reference [.job, script]` of GitLab.
            return self.value(part, &found.clone(), scope, depth + 1);
        }
        if texts.len() == list.len() && texts.first().is_some_and(|text| TOOLS.contains(text)) {
            let quoted = texts.iter().map(|text| format!("\"{}\"", text.replace('"', "\\\"")));
            return self.script(key, &quoted.collect::<Vec<_>>().join(" "), scope);
        }
        // The lines of one shell.
        let lines = ["script", "before_script", "after_script", "commands"].contains(&key);
        if lines && texts.len() == list.len() && texts.iter().any(|text| holds_command(text)) {
            return self.script(key, &texts.join("\n"), scope);
        }
        list.iter().for_each(|value| self.value(key, value, scope, depth + 1));
    }

    fn map(&mut self, map: &serde_json::Map<String, Json>, scope: &YamlScope, depth: usize) {
        let mut map = map.clone();
        // A job takes what it does not say from those that it extends.
        let bases = match map.get("extends") {
            Some(Json::String(one)) => vec![one.clone()],
            Some(Json::Array(list)) => {
                list.iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect()
            }
            _ => Vec::new(),
        };
        for base in bases.iter().filter_map(|text| self.root.get(text)?.as_object()) {
            for (key, value) in base {
                map.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        let mut scope = scope.clone();
        for (key, value) in &map {
            match key.as_str() {
                "variables" | "env" | "environment" | "vars" => scope.define(value),
                "strategy" | "parallel" => {
                    let rounds = value.get("matrix").map(matrix).unwrap_or_default();
                    scope.loops.extend(Some(rounds).filter(|it| !it.is_empty()));
                }
                "shell" | "scriptType" => scope.shell = shell(value).unwrap_or(scope.shell),
                "defaults" => {
                    let own = value.pointer("/run/shell").and_then(shell);
                    scope.shell = own.unwrap_or(scope.shell);
                }
                "csmFile" | "templateFile" | "scriptPath" | "template" => self.file(value),
                _ => {}
            }
        }
        for key in ["loop", "with_items", "with_list"] {
            let Some(list) = map.get(key) else { continue };
            let rounds = scope.rounds_over("item", list);
            self.looped(rounds, &Json::Object(map.clone()), &mut scope);
        }
        for (key, value) in &map {
            let hidden = depth == 0 && key.starts_with('.');
            // What others take over is read where they do.
            let anchored = || self.text.contains(&format!("{key}: &"));
            if hidden && (anchored() || self.text.matches(key.as_str()).count() > 1) {
                continue;
            }
            if key.contains("azure_rm_resource") || key.contains("azure_rm_deployment") {
                self.file(&Json::from(key.as_str()));
            }
            let each = key.strip_prefix("${{ each ").and_then(|text| text.split_once(" in "));
            match each {
                Some((name, list)) => {
                    let mut scope = scope.clone();
                    let list = Json::from(list.trim_end_matches(['}', ' ']));
                    let rounds = scope.rounds_over(name, &list);
                    self.looped(rounds, value, &mut scope);
                    self.value(key, value, &scope, depth + 1);
                }
                None => self.value(key, value, &scope, depth + 1),
            }
        }
    }

    /// Adds a loop, or says that one round stands for all of it.
    fn looped(&mut self, rounds: Option<Vec<Round>>, body: &Json, scope: &mut YamlScope) {
        match rounds {
            Some(rounds) => scope.loops.push(rounds),
            None if holds_command(&body.to_string()) => {
                let why =
                    "how often this runs is known only when it does: one round stands for all";
                let place = commands(body).and_then(|command| self.locate(command, 0));
                let at = self.base + place.and_then(|it| it.first().map(|it| it.1)).unwrap_or(0);
                self.notes.push(ScriptNote::Left(at..at + 1, why.to_owned()));
            }
            None => {}
        }
    }

    fn file(&mut self, value: &Json) {
        let Some(name) = value.as_str().filter(|it| it.contains('.') && !it.contains('\n')) else {
            return;
        };
        let at = self.base + self.text.find(name).unwrap_or(0);
        let why = format!("`{name}` is not followed; import it as well");
        self.notes.push(ScriptNote::Left(at..at + name.len(), why));
    }

    fn script(&mut self, key: &str, text: &str, scope: &YamlScope) {
        let shell = match key.to_lowercase().as_str() {
            "pwsh" | "powershell" => Shell::Power,
            "bash" => Shell::Bash,
            _ => scope.shell,
        };
        let from = self.seen.get(text).copied().unwrap_or(0);
        let found = self.locate(text, from).or_else(|| self.locate(text, 0)).unwrap_or_default();
        self.seen.insert(text.to_owned(), found.first().map_or(0, |it| it.1 + 1));
        let anchors = found.into_iter().map(|it| (it.0, self.base + it.1)).collect();
        let piece = Piece { shell, text: text.to_owned(), anchors };
        let mut rounds = vec![scope.variables.clone()];
        for own in scope.loops.iter().filter(|it| reads(text, it)) {
            let all = rounds.iter().flat_map(|outer| {
                own.iter().map(|it| outer.clone().into_iter().chain(it.clone()).collect())
            });
            rounds = all.take(MOST).collect();
        }
        self.out.extend(rounds.into_iter().map(|round| (piece.clone(), round)));
    }

    /// Where the words of a text stand in the file, from here on: offset in the text, offset there.
    fn locate(&self, text: &str, from: usize) -> Option<Vec<(usize, usize)>> {
        let words: Vec<(usize, &str)> = words(text).collect();
        let (_, first) = words.first()?;
        let mut at = from;
        'places: for _ in 0..MOST_PLACES {
            at += self.text.get(at..)?.find(first)?;
            let mut anchors = Vec::new();
            let mut end = at;
            for (index, (own, word)) in words.iter().enumerate() {
                let rest = self.text.get(end..).unwrap_or_default();
                // Only signs stand between the first words; later ones may be escaped.
                let gap = rest.find(char::is_alphanumeric).unwrap_or(rest.len()).min(200);
                let reach = if index > 8 { 2_000 } else { gap + word.len() };
                let skipped = rest[..rest.floor_char_boundary(reach)].find(word);
                match skipped {
                    Some(skipped) => {
                        anchors.push((*own, end + skipped));
                        end += skipped + word.len();
                    }
                    None if index > 8 => {}
                    None => {
                        at += first.len();
                        continue 'places;
                    }
                }
            }
            return Some(anchors);
        }
        None
    }
}

/// Words of a text and where each begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let begin = text.as_ptr().addr();
    text.split_whitespace()
        .map(|part| part.trim_matches(['"', '\\']))
        .filter(|part| !part.is_empty())
        .map(move |part| (part.as_ptr().addr() - begin, part))
}

/// The first text that holds a command.
fn commands(value: &Json) -> Option<&str> {
    match value {
        Json::String(text) => Some(text.as_str()).filter(|it| holds_command(it)),
        Json::Array(list) => list.iter().find_map(commands),
        Json::Object(map) => map.values().find_map(commands),
        _ => None,
    }
}

fn shell(value: &Json) -> Option<Shell> {
    let name = value.as_str()?.to_lowercase();
    Some(match name.as_str() {
        it if it.starts_with("ps") || it.starts_with("pwsh") || it.starts_with("powershell") => {
            Shell::Power
        }
        "batch" | "cmd" => Shell::Cmd,
        "bash" | "sh" => Shell::Bash,
        _ => return None,
    })
}

/// The rounds that a job with a matrix goes: GitHub (lists to be combined, and `include`), Azure
/// Pipelines (named sets), GitLab (a list of such maps).
fn matrix(value: &Json) -> Vec<Round> {
    let map = match value {
        Json::Array(list) => return list.iter().flat_map(matrix).collect(),
        other => other.as_object().into_iter().flatten(),
    };
    let mut out = vec![Round::new()];
    let mut own = Vec::new();
    for (key, value) in map {
        match value {
            Json::Array(list) if key == "include" => own.extend(list.iter().map(flat)),
            Json::Array(list) => {
                let entries: Vec<_> =
                    list.iter().map(|it| flat(&serde_json::json!({ key.as_str(): it }))).collect();
                let all = out.iter().flat_map(|round| {
                    entries.iter().map(|it| round.clone().into_iter().chain(it.clone()).collect())
                });
                out = all.take(MOST).collect();
            }
            Json::Object(_) if key != "exclude" => own.push(flat(value)),
            _ => {}
        }
    }
    out.retain(|it| !it.is_empty());
    out.extend(own);
    out
}

/// Scalars of a map, those of maps in it by their own names.
fn flat(value: &Json) -> Round {
    let mut out = Round::new();
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

/// Whether a script reads a variable of a loop.
fn reads(script: &str, rounds: &[Round]) -> bool {
    rounds.iter().flat_map(BTreeMap::keys).any(|key| {
        let signs = [format!("$({key})"), format!("${key}"), format!("${{{key}}}")];
        // `${{ matrix.key }}`, `${{ c.key }}`, `${{ key }}`, `{{ item.key }}`.
        let expression = script.split("{{").skip(1).any(|part| {
            let inside = part.split("}}").next().unwrap_or_default().trim();
            inside.rsplit('.').next() == Some(key)
        });
        expression || signs.iter().any(|sign| script.contains(sign))
    })
}
