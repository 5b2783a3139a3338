//! What a command inside `$( … )` would print, where its words say it.

use super::marks::{AND, IS, TABLE, mark, marked};
use super::run::{ScriptRun, unknown};
use super::{Link, ScriptKind, Shell, Simple, Stmt, Word};

/// What shows a thing: the command of `az`, resources and data of Terraform; and its type.
pub(in super::super) const SHOWN: [(&str, &[&str], &str); 9] = [
    ("aks show", &["azurerm_kubernetes_cluster"], "Microsoft.ContainerService/managedClusters"),
    (
        "connectedk8s show",
        &["azurerm_arc_kubernetes_cluster", "azurerm_arc_kubernetes_provisioned_cluster"],
        "Microsoft.Kubernetes/connectedClusters",
    ),
    (
        "ml workspace show",
        &["azurerm_machine_learning_workspace"],
        "Microsoft.MachineLearningServices/workspaces",
    ),
    (
        "identity show",
        &["azurerm_user_assigned_identity"],
        "Microsoft.ManagedIdentity/userAssignedIdentities",
    ),
    ("acr show", &["azurerm_container_registry"], "Microsoft.ContainerRegistry/registries"),
    ("storage account show", &["azurerm_storage_account"], "Microsoft.Storage/storageAccounts"),
    ("keyvault show", &["azurerm_key_vault"], "Microsoft.KeyVault/vaults"),
    ("ml compute show", &[], ""),
    ("k8s-extension show", &[], ""),
];

/// The subscription where no command names one.
pub(in super::super) const NO_SUBSCRIPTION: &str =
    "${SUBSCRIPTION_ID:-00000000-0000-0000-0000-000000000000}";

/// A field of what a `show` command printed as a whole.
pub(super) fn field(answer: &str, name: &str) -> String {
    let table = marked(answer.trim()).and_then(|it| it.0.strip_prefix(TABLE));
    if let Some(table) = table {
        let mut entries = table.split(AND).filter_map(|part| part.split_once(IS));
        let found = entries.find(|it| it.0.eq_ignore_ascii_case(name));
        return found.map_or_else(|| mark(name), |it| it.1.to_owned());
    }
    let Some(id) = marked(answer.trim()).and_then(|it| it.0.strip_prefix("show:")) else {
        return if unknown(answer) || answer.contains(['\n', ',', ' ']) {
            mark(name)
        } else {
            format!("{answer}.{name}")
        };
    };
    let parts: Vec<&str> = id.split('/').collect();
    let at = |index: usize| parts.get(index).map_or_else(|| mark(name), |text| (*text).to_owned());
    match name.to_ascii_lowercase().as_str() {
        "id" => id.to_owned(),
        "name" => parts.last().map_or_else(|| mark(name), |text| (*text).to_owned()),
        "resourcegroup" => at(4),
        "subscriptionid" => at(2),
        _ => mark(name),
    }
}

impl ScriptRun<'_> {
    /// What these statements print, as far as it is known; they run meanwhile.
    pub(super) fn answer(&mut self, body: &[Stmt], text: &str) -> String {
        let starts =
            |end: usize| body[..end].iter().rposition(|it| it.link != Link::Pipe).unwrap_or(0);
        let (mut begin, mut end) = (starts(body.len()), body.len());
        // `… || true`: the answer is that of the first.
        while begin > 0 && body[begin].link == Link::Or {
            end = begin;
            begin = starts(begin);
        }
        let outer = std::mem::replace(&mut self.asking, true);
        let seen = self.seen.clone();
        self.list(&body[..begin]);
        let mut answer = None;
        for statement in &body[begin..end] {
            self.steps += 1;
            answer = match &statement.kind {
                ScriptKind::Simple(simple) => Some(self.printed(simple, answer, text)),
                ScriptKind::Group(list) => Some(self.answer(list, text)),
                _ => {
                    self.list(std::slice::from_ref(statement));
                    None
                }
            };
        }
        self.asking = outer;
        self.seen.extend(seen);
        answer.unwrap_or_else(|| mark(""))
    }

    fn printed(&mut self, simple: &Simple, input: Option<String>, text: &str) -> String {
        let words = self.words(&simple.words);
        let texts: Vec<&str> = words.iter().map(|it| it.text.as_str()).collect();
        let last = texts.last().copied().unwrap_or_default();
        let input = input.or_else(|| simple.body.as_ref().map(|body| self.text(body)));
        match texts.as_slice() {
            ["az", ..] => {
                let found = self.shown(&words);
                self.list(&[Stmt::simple(simple.clone(), 0..0)]);
                found
            }
            ["echo" | "printf" | "Write-Output", ..] => {
                let said = spoken(&texts).unwrap_or_else(|| mark(""));
                said.trim_end_matches('\n').to_owned()
            }
            ["cat" | "Get-Content" | "type", path] if !unknown(path) => {
                mark(&format!("cat:{path}"))
            }
            [
                "cat" | "head" | "tail" | "xargs" | "ConvertFrom-Json" | "sort" | "grep" | "sed"
                | "tr" | "seq" | "cut" | "jq" | "Out-String",
                ..,
            ] => filtered(&texts, input),
            [first, ..] if self.functions.contains_key(&first.to_lowercase()) => {
                let found = self.functions.get(&first.to_lowercase()).cloned();
                let args = texts.iter().skip(1).map(|text| (*text).to_owned()).collect();
                let before = self.args.replace(args);
                self.depth += 2;
                let answer = found.filter(|_| self.depth < 22).map(|it| self.answer(&it.1, text));
                self.depth -= 2;
                self.args = before;
                answer.unwrap_or_else(|| mark(""))
            }
            ["$$args"] | [] if !simple.sets.is_empty() => mark(""),
            [value]
                if self.piece.shell == Shell::Power
                    && (text.starts_with("$(\"") || text.starts_with("$($")) =>
            {
                (*value).to_owned()
            }
            [] => mark(""),
            // `$(name)` of Azure Pipelines is a variable, and not a program.
            [name] if self.world.variables.contains_key(*name) => {
                self.world.variables.get(*name).cloned().unwrap_or_default()
            }
            _ => {
                self.list(&[Stmt::simple(simple.clone(), 0..0)]);
                let letter = |it: &char| it.is_ascii_alphanumeric() || "_-".contains(*it);
                let hint: String = last.chars().filter(letter).collect();
                let named = matches!(texts[0], "terraform" | "tofu") || texts.len() == 1;
                mark(if named { &hint } else { "" })
            }
        }
    }

    /// What an `az … show` prints.
    fn shown(&mut self, words: &[Word]) -> String {
        let texts = words.iter().skip(1).map(|it| it.text.as_str());
        let verb = texts.take_while(|text| !text.starts_with('-')).collect::<Vec<_>>().join(" ");
        let option = |names: &[&str]| super::option(words, names).map(str::to_owned);
        let query = option(&["--query"]).unwrap_or_default();
        let query = query.trim_matches(['[', ']', '\'', '"', ' ']).to_owned();
        if verb == "account show" {
            let subscription =
                self.subscription.clone().unwrap_or_else(|| NO_SUBSCRIPTION.to_owned());
            let hint = if query.is_empty() { "account" } else { &query };
            return if query == "id" { subscription } else { mark(hint) };
        }
        let kind = SHOWN.iter().find(|it| verb == it.0 || verb.starts_with(&format!("{} ", it.0)));
        let Some((command, _, kind)) = kind else {
            return mark(query.rsplit(['.', '|', ' ']).next().unwrap_or_default());
        };
        if let Some(ids) = option(&["--ids"]) {
            let whole = mark(&format!("show:{ids}"));
            return if query.is_empty() { whole } else { field(&whole, &query) };
        }
        let name = option(&["--name", "-n"]).unwrap_or_else(|| mark("name"));
        if query.to_lowercase().contains("principal") {
            match *command {
                "ml compute show" => return format!("compute/{name}"),
                "ml workspace show" => return format!("workspace/{name}"),
                "k8s-extension show" => return "extension".to_owned(),
                _ => {}
            }
        }
        if kind.is_empty() {
            return mark(&query);
        }
        let group = option(&["--resource-group", "-g"]).or_else(|| self.group.clone());
        let group = group.unwrap_or_else(|| "${RESOURCE_GROUP}".to_owned());
        let subscription = option(&["--subscription"]).or_else(|| self.subscription.clone());
        let subscription = subscription.unwrap_or_else(|| NO_SUBSCRIPTION.to_owned());
        let named = |text: String, own: &str| super::marks::named(&text, own);
        let (name, group) = (named(name, "CLUSTER_NAME"), named(group, "RESOURCE_GROUP"));
        let id =
            format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}");
        let whole = mark(&format!("show:{id}"));
        let first = query.split([',', ' ']).next().unwrap_or_default();
        if query.is_empty() { whole } else { field(&whole, first) }
    }

    /// What later commands take for granted: defaults and the subscription.
    pub(super) fn remember(&mut self, words: &[Word]) {
        let texts: Vec<&str> = words.iter().map(|it| it.text.as_str()).collect();
        match texts.as_slice() {
            ["az", "account", "set", ..] => {
                let names = ["--subscription", "-s", "--name", "-n"];
                self.subscription = super::option(words, &names).map(str::to_owned);
            }
            ["az", "configure", ..] | ["az", "config", "set", ..] => {
                for text in &texts {
                    let text = text.trim_start_matches("defaults.");
                    if let Some(group) = text.strip_prefix("group=") {
                        self.group = Some(group.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
}

/// What `echo` and `printf` write; `None` where the format says more than `%s` and `%d`.
pub(super) fn spoken(words: &[&str]) -> Option<String> {
    let ["printf", rest @ ..] = words else {
        let flags = words.iter().skip(1).take_while(|it| ["-n", "-e", "-ne", "-E"].contains(it));
        let flags = flags.count();
        let text = words.get(1 + flags..)?.join(" ");
        let escapes = words[1..=flags].iter().any(|it| it.contains('e'));
        return Some(if escapes { text.replace("\\n", "\n") } else { text });
    };
    let rest = rest.strip_prefix(&["--"]).unwrap_or(rest);
    let (format, mut args) = rest.split_first().filter(|it| !it.0.starts_with('-'))?;
    let format = format.replace("\\n", "\n").replace("%%", "\u{4}");
    let mut out = String::new();
    loop {
        let mut pieces = format.split('%');
        out.push_str(pieces.next().unwrap_or_default());
        let before = args.len();
        for piece in pieces {
            let after = piece.strip_prefix(['s', 'd'])?;
            if let Some((first, more)) = args.split_first() {
                out.push_str(first);
                args = more;
            }
            out.push_str(after);
        }
        if args.is_empty() || args.len() == before {
            return Some(out.replace('\u{4}', "%"));
        }
    }
}

/// What a filter makes of its input; not known where it is not known what the filter does.
pub(super) fn filtered(texts: &[&str], input: Option<String>) -> String {
    if let Some(text) = input.as_ref().filter(|it| unknown(it))
        && !matches!(texts[0], "sed" | "jq" | "cut" | "seq")
    {
        return text.clone();
    }
    let known = input.clone().unwrap_or_else(|| mark(""));
    let one_line = !known.trim_end().contains('\n');
    match texts {
        ["cat" | "xargs" | "ConvertFrom-Json" | "Out-String" | "sort"] => known,
        ["cat" | "ConvertFrom-Json" | "Out-String", ..] => known,
        ["head" | "tail", rest @ ..] if one_line && !rest.iter().any(|text| text.contains('c')) => {
            known
        }
        ["sed", "s/\\r//" | "s/\\r$$//"] => known,
        ["sed", "s/\"//g"] => known.replace('"', ""),
        ["tr", "-d", set] if !set.contains(['[', '-']) => {
            let set = set.replace("\\n", "\n").replace("\\r", "\r");
            if set.contains('\\') { mark("") } else { known.replace(|it| set.contains(it), "") }
        }
        ["tr", "[:upper:]" | "A-Z" | "[A-Z]", "[:lower:]" | "a-z" | "[a-z]"] => {
            known.to_lowercase()
        }
        ["tr", "[:lower:]" | "a-z" | "[a-z]", "[:upper:]" | "A-Z" | "[A-Z]"] => {
            known.to_uppercase()
        }
        ["tr", from, to] if from.chars().count() == 1 && (to.len() == 1 || *to == "\\n") => {
            known.replace(*from, if *to == "\\n" { "\n" } else { to })
        }
        ["seq", rest @ ..] if rest.iter().all(|text| text.parse::<u32>().is_ok()) => {
            let numbers: Vec<u32> = rest.iter().filter_map(|text| text.parse().ok()).collect();
            let from = if numbers.len() > 1 { numbers[0] } else { 1 };
            let to = numbers.last().copied().unwrap_or(0).min(from.saturating_add(2_000));
            (from..=to).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
        }
        ["cut", rest @ ..] => cut(&input.unwrap_or_else(|| mark("")), rest),
        ["jq", rest @ ..] => {
            let path = rest.iter().find(|text| text.starts_with('.')).copied().unwrap_or(".");
            let name = path.trim_start_matches('.').trim_matches('"');
            match input {
                Some(text) if name.is_empty() => text,
                Some(text) if marked(text.trim()).is_some() => field(&text, name),
                Some(_) | None => mark(name.rsplit('.').next().unwrap_or_default()),
            }
        }
        _ => mark(""),
    }
}

/// `cut -d: -f1`.
fn cut(text: &str, options: &[&str]) -> String {
    let value = |flag: &str| {
        let at = options.iter().position(|option| option.starts_with(flag))?;
        let own = options[at].get(flag.len()..).filter(|text| !text.is_empty());
        own.or_else(|| options.get(at + 1).copied())
    };
    let number = value("-f").and_then(|text| text.parse::<usize>().ok());
    match (value("-d"), number) {
        (Some(sign), Some(number)) if !unknown(text) && !sign.is_empty() => {
            text.split(sign).nth(number.saturating_sub(1)).unwrap_or_default().to_owned()
        }
        _ => mark("part"),
    }
}
