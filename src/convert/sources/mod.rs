//! Files of any kind → commands: finds out what each file is, and where scripts stand in it.

mod arm;
mod embed;
mod expression;
mod pipeline;
mod program;
mod shapes;
mod terraform;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Json;
use crate::source::Source;

use super::script::{self, Piece, ScriptItem, ScriptNote, ScriptWorld, Shell, ToolCall};

pub(super) use arm::{after, compute_words};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceKind {
    Script(Shell),
    Markdown,
    Notebook,
    Yaml,
    Json,
    Terraform,
    Bicep,
    /// Also what else keeps commands in quoted texts: pipelines of Jenkins.
    Python,
    Makefile,
    Dockerfile,
}

/// Endings of names, or whole names, in lower case.
const KINDS: [(&[&str], SourceKind); 12] = [
    (&["ps1", "psm1"], SourceKind::Script(Shell::Power)),
    (&["cmd", "bat"], SourceKind::Script(Shell::Cmd)),
    (&["sh", "bash", "azcli", "zsh"], SourceKind::Script(Shell::Bash)),
    (&["md", "markdown", "rst"], SourceKind::Markdown),
    (&["ipynb"], SourceKind::Notebook),
    (&["tf", "tfvars", "hcl"], SourceKind::Terraform),
    (&["bicep"], SourceKind::Bicep),
    (&["py", "groovy", "jenkinsfile"], SourceKind::Python),
    (&["json", "tfstate"], SourceKind::Json),
    (&["yml", "yaml"], SourceKind::Yaml),
    (&["mk"], SourceKind::Makefile),
    (&["dockerfile"], SourceKind::Dockerfile),
];

/// By its name, and where that says nothing, by how it begins.
fn kind(source: &Source) -> SourceKind {
    let name = source.path.file_name().map(|file_name| file_name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let ending = name.rsplit('.').next().unwrap_or_default();
    match KINDS.iter().find(|it| it.0.contains(&ending)) {
        Some((_, kind)) => *kind,
        None if name.ends_with("makefile") => SourceKind::Makefile,
        None if name.starts_with("dockerfile") => SourceKind::Dockerfile,
        None => sniff(source.text.trim_start_matches('\u{feff}').trim_start()),
    }
}

/// A value as a text: what it holds, or its JSON.
pub(super) fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn sniff(text: &str) -> SourceKind {
    let lines = || text.lines().map(str::trim_start);
    let json = text.starts_with(['{', '[']) && serde_json::from_str::<Json>(text).is_ok();
    if json {
        return if text.contains("\"cells\"") { SourceKind::Notebook } else { SourceKind::Json };
    }
    if lines().any(|line| line.starts_with("resource \"") || line.starts_with("provider \"")) {
        return SourceKind::Terraform;
    }
    if lines().any(|line| line.starts_with("```")) {
        return SourceKind::Markdown;
    }
    let steps = ["- script:", "runs-on:", "- task:"];
    let any = |begins: &[&str]| lines().any(|line| begins.iter().any(|it| line.starts_with(it)));
    if text.starts_with("---") || text.starts_with("$schema:") || any(&steps) {
        return SourceKind::Yaml;
    }
    let set = |text: &str| text.starts_with('$') && text.split_whitespace().nth(1) == Some("=");
    if lines().any(set) || any(&["$env:", "Write-Host", "param("]) {
        return SourceKind::Script(Shell::Power);
    }
    let first = lines().next().unwrap_or_default().to_lowercase();
    if first.starts_with("@echo off") || any(&["set \"", "SET "]) {
        return SourceKind::Script(Shell::Cmd);
    }
    SourceKind::Script(Shell::Bash)
}

/// Everything that the sources say, in their order, and what to tell about it. Each source comes
/// with the place where it begins.
pub(super) fn read(
    sources: &[(usize, Arc<Source>)],
    files: &dyn Fn(&Source, &str) -> Option<String>,
) -> (Vec<ScriptItem>, Vec<ScriptNote>) {
    let mut out = SourcesFound::default();
    let is = |it: &&(usize, Arc<Source>)| kind(&it.1) == SourceKind::Terraform;
    let terraform: Vec<_> = sources.iter().filter(is).cloned().collect();
    let mut read_terraform = false;
    for (base, source) in sources {
        let files = |name: &str| files(source, name);
        let none = BTreeMap::new();
        let world = ScriptWorld { variables: &none, files: &files };
        let (text, base) = (source.text.as_str(), *base);
        let pieces = match kind(source) {
            SourceKind::Script(shell) => vec![Piece::whole(shell, text, base)],
            SourceKind::Markdown => embed::markdown(text, base, &mut out.notes),
            SourceKind::Notebook => program::notebook(text, base, &mut out.notes),
            SourceKind::Python => vec![program::python(text, base, &mut out.notes)],
            SourceKind::Makefile => vec![program::makefile(text, base)],
            SourceKind::Dockerfile => vec![program::dockerfile(text, base)],
            other => {
                match other {
                    SourceKind::Yaml => out.yaml(source, base, &files),
                    SourceKind::Json => out.json(text, base),
                    // Variables of one file are used in another.
                    SourceKind::Terraform if !std::mem::replace(&mut read_terraform, true) => {
                        terraform::read(&terraform, &world, &mut out);
                    }
                    SourceKind::Bicep => {
                        let why = "Bicep is not read; `az bicep build --file FILE` makes a template of it, import that";
                        out.notes.push(ScriptNote::Left(base..base, why.to_owned()));
                    }
                    _ => {}
                }
                Vec::new()
            }
        };
        pieces.iter().for_each(|piece| out.script(piece, &world));
    }
    (out.items, out.notes)
}

/// The longest script that is read, in bytes.
const LONGEST: usize = 4 << 20;

/// What was found so far.
#[derive(Default)]
pub(super) struct SourcesFound {
    items: Vec<ScriptItem>,
    notes: Vec<ScriptNote>,
}

impl SourcesFound {
    fn script(&mut self, piece: &Piece, world: &ScriptWorld<'_>) {
        if piece.text.len() > LONGEST {
            let at = piece.anchors.first().map_or(0, |it| it.1);
            let why = "this script is longer than 4 MiB, which is not read".to_owned();
            self.notes.push(ScriptNote::Left(at..at + 1, why));
            return;
        }
        let (items, mut notes) = script::run(piece, world);
        for item in items {
            let sent = match &item {
                ScriptItem::Call(call) => arm::requested(call, &mut notes),
                _ => None,
            };
            match sent {
                Some(calls) => calls.into_iter().for_each(|call| self.call(call)),
                None => self.items.push(item),
            }
        }
        self.notes.extend(notes);
    }

    fn call(&mut self, call: ToolCall) {
        self.items.push(ScriptItem::Call(call));
    }

    /// A compute, instance types, what `az -o yaml` prints, or a pipeline.
    fn yaml(&mut self, source: &Source, base: usize, files: &dyn Fn(&str) -> Option<String>) {
        let text = source.text.as_str();
        let documents: Vec<Json> = text
            .split("\n---")
            .filter_map(|part| serde_yaml::from_str(part.strip_prefix("---").unwrap_or(part)).ok())
            .collect();
        let any = |key: &str, own: &str| {
            documents.iter().any(|value| value.get(key).and_then(Json::as_str) == Some(own))
        };
        if let Some(words) = compute_words(text) {
            let verb = ["az", "ml", "compute", "attach"].map(str::to_owned);
            let span = base..base + text.len().min(60);
            self.call(ToolCall::new(verb.into_iter().chain(words), &span));
            return;
        }
        if any("kind", "InstanceType") {
            let mut call = ToolCall::new(["kubectl", "apply", "-f", "-"], &(base..base + 1));
            call.body = Some(text.to_owned());
            self.call(call);
            return;
        }
        if any("apiVersion", "amlplan/v1") {
            let why = "this is a manifest already; it is not imported";
            self.notes.push(ScriptNote::Left(base..base + 1, why.to_owned()));
            return;
        }
        if documents.iter().any(|value| value.get("extensionType").is_some() || value.is_array()) {
            let calls =
                documents.iter().flat_map(|it| arm::document(it, text, base, &mut self.notes));
            let calls: Vec<ToolCall> = calls.collect();
            if !calls.is_empty() {
                calls.into_iter().for_each(|call| self.call(call));
                return;
            }
        }
        if documents.is_empty() && embed::holds_command(text) {
            let why = "this is not YAML that can be read, so its lines are read as a script";
            self.notes.push(ScriptNote::Left(base..base + 1, why.to_owned()));
            let world = ScriptWorld { variables: &BTreeMap::new(), files };
            return self.script(&Piece::whole(Shell::Bash, text, base), &world);
        }
        for (piece, variables) in pipeline::scripts(&documents, text, base, &mut self.notes) {
            self.script(&piece, &ScriptWorld { variables: &variables, files });
        }
    }

    fn json(&mut self, text: &str, base: usize) {
        let document: Json = match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
            Ok(value) => value,
            Err(error) => {
                let why = format!("this is not JSON: {error}");
                self.notes.push(ScriptNote::Left(base..base + 1, why));
                return;
            }
        };
        let calls = arm::document(&document, text, base, &mut self.notes);
        calls.into_iter().for_each(|call| self.call(call));
    }
}
