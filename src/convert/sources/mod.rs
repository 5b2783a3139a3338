//! Files of any kind → commands: finds out what each file is, and where scripts stand in it.

mod arm;
mod embed;
mod expression;
mod shapes;
mod terraform;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Json;
use crate::source::Source;

use super::script::{self, Call, Item, Note, Piece, Shell, World};

pub(super) use shapes::{after, compute_words};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Script(Shell),
    Markdown,
    Notebook,
    Yaml,
    Json,
    Terraform,
    Bicep,
    /// Also what else keeps commands in quoted texts: pipelines of Jenkins.
    Python,
}

/// By its name, and where that says nothing, by how it begins.
fn kind(source: &Source) -> Kind {
    let extension = source.path.extension().map(|it| it.to_string_lossy().to_lowercase());
    let text = source.text.trim_start_matches('\u{feff}').trim_start();
    let name = source.path.file_name().map(|it| it.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("ps1" | "psm1") => Kind::Script(Shell::Power),
        Some("cmd" | "bat") => Kind::Script(Shell::Cmd),
        Some("sh" | "bash" | "azcli" | "zsh") => Kind::Script(Shell::Bash),
        Some("md" | "markdown" | "rst") => Kind::Markdown,
        Some("ipynb") => Kind::Notebook,
        Some("tf" | "tfvars" | "hcl") => Kind::Terraform,
        Some("bicep") => Kind::Bicep,
        Some("py" | "groovy") => Kind::Python,
        Some("json" | "tfstate") => Kind::Json,
        Some("yml" | "yaml") => Kind::Yaml,
        _ if name.as_deref() == Some("jenkinsfile") => Kind::Python,
        _ => sniff(text),
    }
}

fn sniff(text: &str) -> Kind {
    let lines = || text.lines().map(str::trim_start);
    let json = text.starts_with(['{', '[']) && serde_json::from_str::<Json>(text).is_ok();
    if json {
        return if text.contains("\"cells\"") { Kind::Notebook } else { Kind::Json };
    }
    if lines().any(|it| it.starts_with("resource \"") || it.starts_with("provider \"")) {
        return Kind::Terraform;
    }
    if lines().any(|it| it.starts_with("```")) {
        return Kind::Markdown;
    }
    let yaml = text.starts_with("---") || text.starts_with("$schema:");
    if yaml
        || lines().any(|it| {
            it.starts_with("- script:") || it.starts_with("runs-on:") || it.starts_with("- task:")
        })
    {
        return Kind::Yaml;
    }
    let power = lines().any(|it| {
        let set = it.starts_with('$') && it.split_whitespace().nth(1) == Some("=");
        set || it.starts_with("$env:") || it.starts_with("Write-Host") || it.starts_with("param(")
    });
    if power {
        return Kind::Script(Shell::Power);
    }
    let first = lines().next().unwrap_or_default().to_lowercase();
    if first.starts_with("@echo off")
        || lines().any(|it| it.starts_with("set \"") || it.starts_with("SET "))
    {
        return Kind::Script(Shell::Cmd);
    }
    Kind::Script(Shell::Bash)
}

/// Everything that the sources say, in their order, and what to tell about it. Each source comes
/// with the place where it begins.
pub(super) fn read(
    sources: &[(usize, Arc<Source>)],
    files: &dyn Fn(&Source, &str) -> Option<String>,
) -> (Vec<Item>, Vec<Note>) {
    let mut out = Found::default();
    let is = |it: &&(usize, Arc<Source>)| kind(&it.1) == Kind::Terraform;
    let terraform: Vec<_> = sources.iter().filter(is).cloned().collect();
    let mut read_terraform = false;
    for (base, source) in sources {
        let files = |name: &str| files(source, name);
        let none = BTreeMap::new();
        let world = World { variables: &none, files: &files };
        match kind(source) {
            Kind::Script(shell) => out.script(&Piece::whole(shell, &source.text, *base), &world),
            Kind::Markdown => {
                for piece in embed::markdown(&source.text, *base, &mut out.notes) {
                    out.script(&piece, &world);
                }
            }
            Kind::Notebook => {
                for piece in embed::notebook(&source.text, *base) {
                    out.script(&piece, &world);
                }
            }
            Kind::Yaml => out.yaml(source, *base, &files),
            Kind::Json => out.json(&source.text, *base),
            Kind::Terraform if read_terraform => {}
            Kind::Terraform => {
                // Variables of one file are used in another.
                read_terraform = true;
                terraform::read(&terraform, &world, &mut out);
            }
            Kind::Python => out.script(&embed::python(&source.text, *base), &world),
            Kind::Bicep => {
                let why = "Bicep is not read; `az bicep build --file FILE` makes a template of it, import that";
                out.notes.push(Note::Left(*base..*base, why.to_owned()));
            }
        }
    }
    (out.items, out.notes)
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Found {
    items: Vec<Item>,
    notes: Vec<Note>,
}

impl Found {
    fn script(&mut self, piece: &Piece, world: &World<'_>) {
        let (items, notes) = script::run(piece, world);
        self.items.extend(items);
        self.notes.extend(notes);
    }

    fn call(&mut self, call: Call) {
        self.items.push(Item::Call(call));
    }

    /// A compute, instance types, what `az -o yaml` prints, or a pipeline.
    fn yaml(&mut self, source: &Source, base: usize, files: &dyn Fn(&str) -> Option<String>) {
        let text = source.text.as_str();
        let documents: Vec<Json> = text
            .split("\n---")
            .filter_map(|it| serde_yaml::from_str(it.strip_prefix("---").unwrap_or(it)).ok())
            .collect();
        let has = |it: &Json, key: &str| it.get(key).is_some();
        if let Some(words) = compute_words(text) {
            let verb = ["az", "ml", "compute", "attach"].map(str::to_owned);
            self.call(Call::new(verb.into_iter().chain(words), &(base..base + text.len().min(60))));
            return;
        }
        let kinds = |it: &Json| it.get("kind").and_then(Json::as_str).map(str::to_owned);
        if documents.iter().any(|it| kinds(it).as_deref() == Some("InstanceType")) {
            let mut call = Call::new(["kubectl", "apply", "-f", "-"], &(base..base + 1));
            call.body = Some(text.to_owned());
            self.call(call);
            return;
        }
        if documents
            .iter()
            .any(|it| it.get("apiVersion").and_then(Json::as_str) == Some("amlplan/v1"))
        {
            let why = "this is a manifest already; it is not imported";
            self.notes.push(Note::Left(base..base + 1, why.to_owned()));
            return;
        }
        if documents.iter().any(|it| has(it, "extensionType") || it.is_array()) {
            let calls =
                documents.iter().flat_map(|it| arm::document(it, text, base, &mut self.notes));
            let calls: Vec<Call> = calls.collect();
            if !calls.is_empty() {
                calls.into_iter().for_each(|it| self.call(it));
                return;
            }
        }
        let mut variables = BTreeMap::new();
        documents.iter().for_each(|it| embed::variables(it, &mut variables));
        let mut matrices = Vec::new();
        documents.iter().for_each(|it| embed::matrices(it, &mut matrices));
        for piece in embed::yaml(text, base) {
            let rounds = matrices.iter().find(|it| embed::reads(&piece.text, it));
            let once = [BTreeMap::new()];
            for own in rounds.map_or(&once[..], Vec::as_slice) {
                let mut variables = variables.clone();
                variables.extend(own.clone());
                self.script(&piece, &World { variables: &variables, files });
            }
        }
    }

    fn json(&mut self, text: &str, base: usize) {
        let document: Json = match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
            Ok(it) => it,
            Err(error) => {
                let why = format!("this is not JSON: {error}");
                self.notes.push(Note::Left(base..base + 1, why));
                return;
            }
        };
        let calls = arm::document(&document, text, base, &mut self.notes);
        calls.into_iter().for_each(|it| self.call(it));
    }
}
