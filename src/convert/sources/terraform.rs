//! Terraform's own language → commands: resources of extensions, computes and roles, and what
//! `local-exec` runs.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ForExpr, FuncCall, ObjectKey, TraversalOperator};
use hcl_edit::structure::{Block, Body, Structure};
use hcl_edit::template::Element;

use super::super::script::{
    Piece, ScriptItem, ScriptNote, ScriptWorld, Shell, ToolCall,
    answer::{NO_SUBSCRIPTION, SHOWN},
    variable_name,
};
use super::{SourcesFound, arm, plain};
use crate::model::Json;
use crate::source::Source;

/// Nesting beyond this is refused before the parser sees it.
const DEEPEST: usize = 60;
/// Reads files that belong together.
pub(super) fn read(
    files: &[(usize, Arc<Source>)],
    world: &ScriptWorld<'_>,
    out: &mut SourcesFound,
) {
    let mut bodies = Vec::new();
    for (base, source) in files {
        let parsed = if nesting(&source.text) > DEEPEST {
            Err("it is nested too deeply".to_owned())
        } else {
            hcl_edit::parser::parse_body(&source.text).map_err(|error| error.message().to_owned())
        };
        match parsed {
            Ok(body) => bodies.push((*base, source, body)),
            Err(error) => {
                let why = format!("this is not Terraform that can be read: {error}");
                out.notes.push(ScriptNote::Left(*base..*base + 1, why));
            }
        }
    }
    let mut scope = NameScope::default();
    for (_, source, body) in &bodies {
        scope.define(body, source.path.extension().is_some_and(|extension| extension == "tfvars"));
    }
    for (base, source, body) in &bodies {
        for block in body.blocks() {
            let span = block.span().unwrap_or(0..0);
            let end = source.text.get(span.start..).and_then(|text| text.find('\n')).unwrap_or(60);
            let place = base + span.start..base + span.start + end.min(120);
            scope.block(block, &place, world, out);
        }
    }
    let first = files.first().map_or(0, |it| it.0);
    out.notes.extend(arm::others(&scope.others.borrow(), first..first + 1));
}

/// The entries of a list or a map with their keys; nothing where it is not known.
fn listed(value: Json) -> Option<Vec<(String, Json)>> {
    match value {
        Json::Array(list) => Some(list.into_iter().map(|value| (plain(&value), value)).collect()),
        Json::Object(map) => Some(map.into_iter().collect()),
        _ => None,
    }
}

/// How deep brackets nest.
fn nesting(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            // Signs before an operand nest as well.
            b'!' | b'-' => most = most.max(depth),
            _ => {}
        }
        most = most.max(depth);
    }
    let signs = text.split(|it| !matches!(it, '!' | '-' | ' ')).map(str::len).max().unwrap_or(0);
    if signs > 4_000 { usize::MAX } else { most }
}

/// What names stand for.
#[derive(Default)]
struct NameScope {
    variables: BTreeMap<String, Json>,
    locals: BTreeMap<String, Expression>,
    /// `TYPE.NAME` → attributes, as far as they are expressions.
    resources: BTreeMap<String, BTreeMap<String, Expression>>,
    /// Which entry of its list a resource is made for.
    each: RefCell<Option<(String, Json)>>,
    /// Names that a `for` expression binds.
    bound: RefCell<BTreeMap<String, Json>>,
    /// Types of resources that no manifest declares.
    others: RefCell<BTreeSet<String>>,
    /// Whether a condition was met that only Terraform can decide.
    undecided: Cell<bool>,
}

impl NameScope {
    fn define(&mut self, body: &Body, values: bool) {
        for structure in body {
            match structure {
                Structure::Attribute(attribute) if values => {
                    let value = self.json(&attribute.value, 0);
                    self.variables.insert(attribute.key.to_string(), value);
                }
                Structure::Attribute(_) => {}
                Structure::Block(block) => self.define_block(block),
            }
        }
    }

    fn define_block(&mut self, block: &Block) {
        let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
        match (block.ident.as_str(), labels.as_slice()) {
            ("variable", [name]) => {
                if let Some(attribute) = block.body.get_attribute("default") {
                    let value = self.json(&attribute.value, 0);
                    self.variables.entry((*name).to_owned()).or_insert(value);
                }
            }
            ("locals", []) => {
                for attribute in block.body.attributes() {
                    self.locals.insert(attribute.key.to_string(), attribute.value.clone());
                }
            }
            ("resource" | "data", [kind, name]) => {
                let attributes =
                    block.body.attributes().map(|it| (it.key.to_string(), it.value.clone()));
                self.resources.insert(format!("{kind}.{name}"), attributes.collect());
            }
            _ => {}
        }
    }

    fn block(
        &self,
        block: &Block,
        place: &Range<usize>,
        world: &ScriptWorld<'_>,
        out: &mut SourcesFound,
    ) {
        let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
        if let ("module", [name]) = (block.ident.as_str(), labels.as_slice()) {
            let from = self.said(block, "source");
            let from = from.as_ref().and_then(Json::as_str).unwrap_or_default();
            let why = format!(
                "module `{name}` is not followed into `{from}`; what `terraform show -json` \
                 prints holds what it makes"
            );
            out.notes.push(ScriptNote::Left(place.clone(), why));
        }
        let ("resource", [kind, _]) = (block.ident.as_str(), labels.as_slice()) else { return };
        for entry in self.entries(block, place, out).into_iter().take(2_000) {
            *self.each.borrow_mut() = entry;
            self.resource(kind, block, place, world, out);
        }
        *self.each.borrow_mut() = None;
    }

    /// For what `for_each` or `count` makes a resource.
    fn entries(
        &self,
        block: &Block,
        place: &Range<usize>,
        out: &mut SourcesFound,
    ) -> Vec<Option<(String, Json)>> {
        let mut left = |why: &str| out.notes.push(ScriptNote::Left(place.clone(), why.to_owned()));
        let found = match (self.said(block, "for_each"), self.said(block, "count")) {
            (Some(each), _) => listed(each),
            (None, Some(count)) => count.as_u64().map(|count| {
                let numbers = (0..count.min(2_000)).map(|number| number.to_string());
                numbers.map(|number| (number.clone(), Json::from(number))).collect()
            }),
            (None, None) => return vec![None],
        };
        match found {
            Some(list) if list.is_empty() => {
                left("`count` or `for_each` is empty: it is left out");
                Vec::new()
            }
            Some(list) => list.into_iter().map(Some).collect(),
            None => {
                left(
                    "how often `for_each` or `count` makes this is known only to Terraform: one \
                     round stands for all",
                );
                let each = "${EACH}";
                vec![Some((each.to_owned(), Json::from(each)))]
            }
        }
    }

    fn resource(
        &self,
        kind: &str,
        block: &Block,
        place: &Range<usize>,
        world: &ScriptWorld<'_>,
        out: &mut SourcesFound,
    ) {
        for provisioner in block.body.get_blocks("provisioner") {
            let Some(Json::String(text)) = self.said(provisioner, "command") else { continue };
            let interpreter = self.said(provisioner, "interpreter").unwrap_or_default();
            let interpreter = interpreter.to_string().to_lowercase();
            let power = interpreter.contains("pwsh") || interpreter.contains("powershell");
            let shell = if power { Shell::Power } else { Shell::Bash };
            let mut own = SourcesFound::default();
            own.script(&Piece::whole(shell, &text.replace("$$", "\\$"), place.start), world);
            // The places are those of the whole resource.
            for item in &mut own.items {
                if let ScriptItem::Call(call) = item {
                    call.words.iter_mut().for_each(|it| it.span = place.clone());
                }
            }
            out.items.append(&mut own.items);
            out.notes.append(&mut own.notes);
        }
        self.undecided.set(false);
        let values = self.body(&block.body, 0);
        if self.undecided.get() {
            let why = "a condition that only Terraform can decide: the first of its two values is \
                       taken";
            out.notes.push(ScriptNote::Slip(place.clone(), why.to_owned()));
        }
        if kind == "azurerm_resource_provider_registration" {
            if let Some(name) = values.get("name").and_then(Json::as_str) {
                let words = ["az", "provider", "register", "--namespace", name];
                out.call(ToolCall::new(words, place));
            }
            return;
        }
        if kind == "kubernetes_manifest" || kind == "kubectl_manifest" {
            let body = values.get("manifest").or_else(|| values.get("yaml_body"));
            let mut call = ToolCall::new(["kubectl", "apply", "-f", "-"], place);
            call.body = body.map(plain);
            if call.body.as_deref().is_some_and(|body| body.contains("InstanceType")) {
                out.call(call);
            }
            return;
        }
        match arm::notated(kind, &values, place, &mut out.notes) {
            Some(calls) => calls.into_iter().for_each(|call| out.call(call)),
            None => drop(self.others.borrow_mut().insert(kind.to_owned())),
        }
    }

    /// What an attribute of a block says.
    fn said(&self, block: &Block, name: &str) -> Option<Json> {
        block.body.get_attribute(name).map(|attribute| self.json(&attribute.value, 0))
    }

    fn body(&self, body: &Body, depth: usize) -> Json {
        let mut map = serde_json::Map::new();
        if depth > DEEPEST {
            return Json::Null;
        }
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    map.insert(attribute.key.to_string(), self.json(&attribute.value, depth + 1));
                }
                Structure::Block(block) => {
                    map.insert(block.ident.to_string(), self.body(&block.body, depth + 1));
                }
            }
        }
        Json::Object(map)
    }

    /// An expression as far as it is known; texts are in the manifest's notation.
    fn json(&self, expression: &Expression, depth: usize) -> Json {
        if depth > DEEPEST {
            return Json::from("${VALUE}");
        }
        match expression {
            Expression::Null(_) => Json::Null,
            Expression::Bool(decorated) => Json::from(*decorated.value()),
            Expression::Number(formatted) => {
                serde_json::from_str(&formatted.value().to_string()).unwrap_or(Json::Null)
            }
            Expression::String(decorated) => Json::from(decorated.value().replace('$', "$$")),
            Expression::Array(array) => Json::Array(
                array.iter().map(|expression| self.json(expression, depth + 1)).collect(),
            ),
            Expression::Object(object) => {
                let entries = object.iter().map(|(key, value)| {
                    let key = match key {
                        ObjectKey::Ident(decorated) => decorated.to_string(),
                        ObjectKey::Expression(expression) => self.text(expression, depth + 1),
                    };
                    (key, self.json(value.expr(), depth + 1))
                });
                Json::Object(entries.collect())
            }
            Expression::StringTemplate(template) => self.template(template.iter(), depth),
            Expression::HeredocTemplate(heredoc) => self.template(heredoc.template.iter(), depth),
            Expression::Parenthesis(parenthesis) => self.json(parenthesis.inner(), depth + 1),
            Expression::Conditional(conditional) => {
                match self.json(&conditional.cond_expr, depth + 1) {
                    Json::Bool(false) => self.json(&conditional.false_expr, depth + 1),
                    known => {
                        self.undecided.set(self.undecided.get() || !known.is_boolean());
                        self.json(&conditional.true_expr, depth + 1)
                    }
                }
            }
            Expression::FuncCall(func_call) => self.call(func_call, depth),
            Expression::Variable(_) | Expression::Traversal(_) => self.reference(expression, depth),
            Expression::ForExpr(for_expr) => self.comprehension(for_expr, depth),
            Expression::UnaryOp(_) | Expression::BinaryOp(_) => Json::from("${VALUE}"),
        }
    }

    /// `[for x in list : …]`, `{ for k, v in map : k => … }`.
    fn comprehension(&self, for_expr: &ForExpr, depth: usize) -> Json {
        let intro = &for_expr.intro;
        let unknown = || Json::from("${EACH}");
        let Some(entries) = listed(self.json(&intro.collection_expr, depth + 1)) else {
            return unknown();
        };
        if for_expr.cond.is_some() {
            self.undecided.set(true);
        }
        let outer = self.bound.borrow().clone();
        let (mut list, mut map) = (Vec::new(), serde_json::Map::new());
        for (key, value) in entries {
            let names = [
                (intro.key_var.as_ref().map(ToString::to_string), Json::from(key)),
                (Some(intro.value_var.to_string()), value),
            ];
            let named = names.into_iter().filter_map(|it| Some((it.0?.trim().to_owned(), it.1)));
            self.bound.borrow_mut().extend(named);
            let value = self.json(&for_expr.value_expr, depth + 1);
            match &for_expr.key_expr {
                Some(key) => drop(map.insert(self.text(key, depth + 1), value)),
                None => list.push(value),
            }
        }
        *self.bound.borrow_mut() = outer;
        if for_expr.key_expr.is_some() { Json::Object(map) } else { Json::Array(list) }
    }

    fn call(&self, func_call: &FuncCall, depth: usize) -> Json {
        let args: Vec<Json> = func_call.args.iter().map(|arg| self.json(arg, depth + 1)).collect();
        let first = args.first().cloned().unwrap_or(Json::Null);
        match func_call.name.name.as_str() {
            "jsonencode" | "tostring" | "toset" | "tolist" | "tomap" | "trimspace"
            | "yamlencode" => first,
            "length" => match first {
                Json::Array(list) => Json::from(list.len()),
                Json::Object(map) => Json::from(map.len()),
                _ => Json::from("${LENGTH}"),
            },
            "lower" => match first {
                Json::String(text) if !text.contains("${") => Json::from(text.to_lowercase()),
                other => other,
            },
            "coalesce" | "try" => args.into_iter().find(|arg| !arg.is_null()).unwrap_or(Json::Null),
            "merge" => {
                let maps = args.into_iter().filter_map(|value| match value {
                    Json::Object(map) => Some(map),
                    _ => None,
                });
                Json::Object(maps.flatten().collect())
            }
            "format" => {
                let mut text = first.as_str().unwrap_or_default().to_owned();
                for value in args.iter().skip(1) {
                    text = text.replacen("%s", &plain(value), 1);
                }
                Json::from(text)
            }
            other => Json::from(format!("${{{}}}", variable_name(other))),
        }
    }

    fn text(&self, expression: &Expression, depth: usize) -> String {
        match self.json(expression, depth) {
            Json::String(text) => text,
            Json::Null => String::new(),
            other => other.to_string(),
        }
    }

    fn template<'b>(&self, parts: impl Iterator<Item = &'b Element>, depth: usize) -> Json {
        Json::from(parts.map(|element| self.element(element, depth)).collect::<String>())
    }

    fn element(&self, element: &Element, depth: usize) -> String {
        match element {
            Element::Literal(spanned) => spanned.value().replace('$', "$$"),
            Element::Interpolation(interpolation) => self.text(&interpolation.expr, depth + 1),
            Element::Directive(_) => "${VALUE}".to_owned(),
        }
    }

    /// `var.x`, `local.x`, `each.value.x`, `azurerm_….name.id`.
    fn reference(&self, expression: &Expression, depth: usize) -> Json {
        let mut path = match expression {
            Expression::Traversal(traversal) => {
                let steps = traversal.operators.iter().filter_map(|it| match it.value() {
                    TraversalOperator::GetAttr(decorated) => Some(decorated.to_string()),
                    TraversalOperator::Index(Expression::String(decorated)) => {
                        Some(decorated.value().clone())
                    }
                    TraversalOperator::Index(other) => Some(self.text(other, depth + 1)),
                    _ => None,
                });
                std::iter::once(self.root(&traversal.expr)).chain(steps).collect()
            }
            other => vec![self.root(other)],
        };
        if path.first().is_some_and(|text| text == "data") {
            path.remove(0);
        }
        // Which instance of a resource does not matter; which entry of a list does.
        let listed = |it: &String| {
            ["var", "local", "each"].contains(&it.as_str()) || self.bound.borrow().contains_key(it)
        };
        if !path.first().is_some_and(listed) {
            path.retain(|text| text.parse::<u32>().is_err());
        }
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let last = names.last().copied().unwrap_or("value");
        let unknown = || Json::from(format!("${{{}}}", variable_name(last)));
        let inside = |value: &Json, rest: &[&str]| {
            rest.iter()
                .try_fold(value.clone(), |value, name| match (&value, name.parse::<usize>()) {
                    (Json::Array(list), Ok(at)) => list.get(at).cloned(),
                    _ => value.get(*name).cloned(),
                })
                .unwrap_or_else(unknown)
        };
        if let Some(value) = path.first().and_then(|text| self.bound.borrow().get(text).cloned()) {
            return inside(&value, &names[1..]);
        }
        match names.as_slice() {
            ["var", name, rest @ ..] => match self.variables.get(*name) {
                Some(value) if !value.is_null() && value.as_str() != Some("") => {
                    inside(value, rest)
                }
                _ => unknown(),
            },
            ["local", name, rest @ ..] => match self.locals.get(*name) {
                Some(expression) => inside(&self.json(expression, depth + 1), rest),
                None => unknown(),
            },
            ["each", "key"] | ["count", "index"] => {
                self.each.borrow().as_ref().map_or_else(unknown, |it| Json::from(it.0.clone()))
            }
            ["each", "value", rest @ ..] => {
                self.each.borrow().as_ref().map_or_else(unknown, |it| inside(&it.1, rest))
            }
            ["azurerm_client_config" | "azurerm_subscription", _, "subscription_id"] => {
                Json::from(NO_SUBSCRIPTION)
            }
            [kind, name] => self.instances(kind, name, depth).unwrap_or_else(unknown),
            [kind, name, field, ..] => {
                self.attribute(kind, name, field, &names, depth).unwrap_or_else(unknown)
            }
            _ => unknown(),
        }
    }

    fn root(&self, expression: &Expression) -> String {
        match expression {
            Expression::Variable(decorated) => decorated.to_string(),
            _ => "value".to_owned(),
        }
    }

    /// All that `for_each` makes of a resource, by their keys.
    fn instances(&self, kind: &str, name: &str, depth: usize) -> Option<Json> {
        let each = self.resources.get(&format!("{kind}.{name}"))?.get("for_each")?;
        let entries = listed(self.json(each, depth + 1))?;
        let outer = self.each.borrow().clone();
        let mut all = serde_json::Map::new();
        for (key, value) in entries {
            *self.each.borrow_mut() = Some((key.clone(), value));
            let own = |field: &str| self.attribute(kind, name, field, &[], depth + 1);
            all.insert(key, serde_json::json!({ "id": own("id"), "name": own("name") }));
        }
        *self.each.borrow_mut() = outer;
        Some(Json::Object(all))
    }

    /// An attribute of a resource of these files.
    fn attribute(
        &self,
        kind: &str,
        name: &str,
        field: &str,
        names: &[&str],
        depth: usize,
    ) -> Option<Json> {
        let found = self.resources.get(&format!("{kind}.{name}"));
        if matches!(kind, "azapi_resource") && names.contains(&"identity") {
            let name = found?.get("name")?;
            return Some(Json::from(format!("compute/{}", self.text(name, depth + 1))));
        }
        if kind.ends_with("_cluster_extension") && names.last() == Some(&"principal_id") {
            return Some(Json::from("extension"));
        }
        if let Some(expression) = found.and_then(|it| it.get(field)) {
            return Some(self.json(expression, depth + 1));
        }
        if field != "id" {
            return None;
        }
        if kind == "azapi_resource" {
            let get = |field: &str| Some(self.text(found?.get(field)?, depth + 1));
            let (parent, name) = (get("parent_id")?, get("name")?);
            let azure = get("type")?.split('@').next()?.to_owned();
            let below = match azure.matches('/').count() {
                1 => format!("providers/{azure}"),
                _ => azure.rsplit('/').next()?.to_owned(),
            };
            return Some(Json::from(format!("{parent}/{below}/{name}")));
        }
        let azure = SHOWN.iter().find(|it| it.1.contains(&kind))?.2;
        let get = |field: &str, own: &str| match found.and_then(|it| it.get(field)) {
            Some(expression) => self.text(expression, depth + 1),
            None => format!("${{{}}}", variable_name(own)),
        };
        let (group, name) =
            (get("resource_group_name", "resource_group"), get("name", &format!("{name} name")));
        Some(Json::from(format!(
            "/subscriptions/{NO_SUBSCRIPTION}/resourceGroups/{group}/providers/{azure}/{name}"
        )))
    }
}
