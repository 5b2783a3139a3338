//! One command: a function of the script, a text that is a script itself, or one of the three tools.

use std::collections::BTreeMap;
use std::ops::Range;

use super::answer::spoken;
use super::marks::mark;
use super::read::ScriptReader;
use super::run::{DEEPEST, Function, MOST_ROUNDS, MOST_STEPS, ScriptRun, TALK, unknown};
use super::{ScriptItem, ScriptNote, ScriptValue, Set, Shell, TOOLS, ToolCall, Word};

impl ScriptRun<'_> {
    pub(super) fn command(&mut self, mut words: Vec<Word>, body: Option<String>) -> Option<bool> {
        let before = ["time", "sudo", "exec", "command", "nohup", "&"];
        while words.first().is_some_and(|it| before.contains(&it.text.as_str())) {
            words.remove(0);
        }
        let first = words.first()?.text.to_lowercase();
        let rest: Vec<String> = words.iter().skip(1).map(|it| it.text.clone()).collect();
        match first.as_str() {
            "!" => {
                let found = self.command(words.split_off(1), body);
                return found.map(|it| !it);
            }
            "[" | "[[" | "test" | "case" => return self.test(&first, &rest),
            "true" | ":" => return Some(true),
            "false" => return Some(false),
            "shift" => {
                let number = rest.first().and_then(|text| text.parse().ok()).unwrap_or(1_usize);
                if let Some(args) = self.args.as_mut() {
                    args.drain(..number.min(args.len()));
                }
                return None;
            }
            "readarray" | "mapfile" => {
                self.readarray(&rest, body.as_deref());
                return None;
            }
            "printf" if rest.first().is_some_and(|text| text == "-v") && rest.len() > 2 => {
                let mut said = vec!["printf"];
                said.extend(rest[2..].iter().map(String::as_str));
                let text = spoken(&said).unwrap_or_else(|| mark(&rest[1]));
                self.vars.insert(rest[1].clone(), ScriptValue::Text(text));
                return None;
            }
            "read" => {
                self.read(&rest, body.as_deref());
                return None;
            }
            "eval" | "bash" | "sh" | "pwsh" | "powershell" | "source" | "." => {
                self.text_as_script(&first, &rest, &words[0].span.clone());
                return None;
            }
            _ => {}
        }
        if let Some(function) = self.functions.get(&first).cloned() {
            let before = self.out.len();
            if self.depth < DEEPEST {
                self.call(&first, &function, Some(rest.clone()));
            }
            if self.out.len() > before {
                return None;
            }
        }
        if TALK.contains(&first.as_str()) {
            return None;
        }
        if self.piece.shell == Shell::Power && words.len() <= 4 {
            let texts: Vec<String> = words.iter().map(|it| it.text.clone()).collect();
            let found = self.compare(&texts);
            if found.is_some() {
                return found;
            }
        }
        self.tool(words, &first, &rest, body);
        None
    }

    /// One of the three tools, wherever in the words it stands, or a shell that is started.
    fn tool(&mut self, mut words: Vec<Word>, first: &str, rest: &[String], body: Option<String>) {
        // `docker run IMAGE bash -c "…"`, and whatever else starts a shell.
        let shell = words.windows(2).position(|window| {
            ["bash", "sh", "pwsh"].contains(&base(&window[0].text).as_str())
                && ["-c", "-lc", "-ec", "-euc", "-Command"].contains(&window[1].text.as_str())
        });
        if let Some(at) = shell {
            let (name, rest) = (base(&words[at].text), &rest[at..]);
            self.text_as_script(&name, rest, &words[at].span.clone());
            return;
        }
        if first.contains("-az")
            && ["new-", "set-", "update-"].iter().any(|text| first.starts_with(text))
        {
            let why = format!("`{}` of Az PowerShell is not read", words[0].text);
            self.notes.push(ScriptNote::Left(words[0].span.clone(), why));
            return;
        }
        let asks = ["curl", "wget", "invoke-restmethod", "invoke-azrestmethod", "irm"];
        if asks.contains(&first) {
            return self.request(&words);
        }
        let tool = words.iter().position(|it| TOOLS.contains(&base(&it.text).as_str()));
        let Some(tool) = tool else { return };
        if let Some(at) = words.iter().position(|it| it.text == ":::") {
            let items: Vec<String> = words.drain(at..).skip(1).map(|it| it.text).collect();
            words.insert(0, Word { text: "-I{}".to_owned(), span: words[0].span.clone() });
            return self.each(&words, tool + 1, &items.join("\n"));
        }
        if let Some(text) = body.as_ref().filter(|it| first == "xargs" && !unknown(it)) {
            return self.each(&words, tool, text);
        }
        // What `xargs`, `find` and `parallel` put there is known only when they run.
        let fed = words[..tool].iter().any(|it| it.text == "xargs");
        let named = words[..tool].iter().position(|it| it.text == "-I");
        let hole = named.and_then(|number| words.get(number + 1)).map(|it| it.text.clone());
        let hole = hole.filter(|text| fed && !text.is_empty()).unwrap_or_else(|| "{}".to_owned());
        if tool > 0 {
            words[tool..].iter_mut().for_each(|it| it.text = it.text.replace(&hole, &mark("")));
        }
        let plain = words.get(tool + 1).is_some_and(|it| !it.text.starts_with('-') || tool == 0);
        if plain && tool < 8 {
            let mut words = words.split_off(tool);
            words[0].text = base(&words[0].text);
            self.emit(words, body);
        }
    }

    /// A request to Azure Resource Manager that is not `az rest`, in its words.
    fn request(&mut self, words: &[Word]) {
        let at = |names: &[&str]| {
            let at =
                words.iter().position(|it| names.contains(&it.text.to_lowercase().as_str()))?;
            words.get(at + 1)
        };
        let url = words.iter().find(|it| it.text.contains("/providers/Microsoft."));
        let method = at(&["-x", "--request", "-method"]);
        let (Some(url), Some(method)) = (url, method) else { return };
        let body = at(&["-d", "--data", "--data-raw", "--data-binary", "-body", "-payload"]);
        let word = |text: &str| Word { text: text.to_owned(), span: words[0].span.clone() };
        let mut own: Vec<Word> = ["az", "rest", "--method"].map(word).into();
        own.extend([method.clone(), word("--url"), url.clone()]);
        own.extend(body.into_iter().flat_map(|it| [word("--body"), it.clone()]));
        self.emit(own, None);
    }

    /// What `xargs` starts for each line, or for all words at once.
    fn each(&mut self, words: &[Word], tool: usize, text: &str) {
        let flag = |it: &Word, name: &str| it.text.starts_with(name);
        let at = words[..tool].iter().position(|it| flag(it, "-I"));
        let hole = at.map(|at| match words[at].text.get(2..) {
            Some("") | None => words.get(at + 1).map_or("{}", |it| it.text.as_str()),
            Some(own) => own,
        });
        let single = words[..tool].iter().any(|it| flag(it, "-n") || flag(it, "-L"));
        let items: Vec<String> = match (hole, single) {
            (Some(_), _) => text.lines().map(|line| line.trim().to_owned()).collect(),
            (None, true) => text.split_whitespace().map(str::to_owned).collect(),
            (None, false) => vec![text.split_whitespace().collect::<Vec<_>>().join(" ")],
        };
        for item in items.iter().filter(|text| !text.is_empty()).take(MOST_ROUNDS) {
            let mut own = words[tool..].to_vec();
            match hole {
                Some(hole) => own.iter_mut().for_each(|it| it.text = it.text.replace(hole, item)),
                None => {
                    let span = words[tool].span.clone();
                    let more =
                        item.split(' ').map(|part| Word { text: part.into(), span: span.clone() });
                    own.extend(more);
                }
            }
            own[0].text = base(&own[0].text);
            self.emit(own, None);
        }
    }

    pub(super) fn emit(&mut self, mut words: Vec<Word>, body: Option<String>) {
        let asks = ["show", "list", "version", "get", "get-credentials", "exists"];
        let question = words.iter().take(5).any(|it| asks.contains(&it.text.as_str()));
        if self.asking && question {
            return;
        }
        let seen: Vec<String> = self.seen.iter().cloned().collect();
        self.used.extend(seen);
        self.resolve(&mut words);
        self.remember(&words);
        let branch = self.branch;
        let files = self.named_files(&words);
        self.out.push(ScriptItem::Call(ToolCall { words, body, branch, files }));
    }

    /// The files behind `-f`, `--file`, `--config-file` and their kin.
    pub(super) fn named_files(&self, words: &[Word]) -> BTreeMap<String, String> {
        let names = words.windows(2).filter_map(|window| {
            let option = window[0].text.as_str();
            let file = matches!(option, "-f" | "--filename")
                || (option.starts_with("--") && option.ends_with("file"));
            file.then_some(&window[1].text)
        });
        let at = words.iter().map(|it| &it.text).filter(|text| text.starts_with('@'));
        let file = |name: &String| Some((name.clone(), self.file(name.trim_start_matches('@'))?));
        names.chain(at).filter_map(file).collect()
    }

    /// Text that is a script itself: `eval`, `bash -c`, `source`.
    pub(super) fn text_as_script(&mut self, first: &str, rest: &[String], span: &Range<usize>) {
        let dashed =
            rest.iter().position(|it| it.starts_with('-') && it.to_lowercase().contains('c'));
        let (text, shell) = match (first, dashed) {
            ("eval", _) => (Some(rest.join(" ")), self.piece.shell),
            ("source" | ".", _) => (rest.first().and_then(|text| self.file(text)), Shell::Bash),
            (_, Some(at)) if first.starts_with('p') => (rest.get(at + 1).cloned(), Shell::Power),
            (_, Some(at)) => (rest.get(at + 1).cloned(), Shell::Bash),
            (_, None) => return,
        };
        let Some(text) = text else { return };
        let text = if matches!(first, "source" | ".") { text } else { text.replace("$$", "\\$") };
        let far = self.depth >= DEEPEST || self.steps > MOST_STEPS;
        if far || text.len() > 200_000 || shell != self.piece.shell {
            if TOOLS.iter().any(|it| text.contains(&format!("{it} "))) {
                let why = format!("what `{first}` runs here is not read");
                self.notes.push(ScriptNote::Left(span.clone(), why));
            }
            return;
        }
        // A file that reads in itself, or a loop that does, is read again each time.
        self.steps += text.len() / 50;
        let script = ScriptReader::new(&text, shell).script();
        let before = self.fixed.replace(span.clone());
        self.depth += 4;
        self.functions(&script);
        self.list(&script);
        self.depth -= 4;
        self.fixed = before;
    }

    pub(super) fn call(
        &mut self,
        name: &str,
        (params, body): &Function,
        args: Option<Vec<String>>,
    ) {
        self.called.insert(name.to_owned());
        self.depth += 2;
        if !params.is_empty() {
            self.bind(params, args.as_deref().unwrap_or_default());
        }
        let before = std::mem::replace(&mut self.args, args);
        self.list(body);
        self.args = before;
        self.depth -= 2;
    }

    /// Parameters of PowerShell: by name, by place, or by default.
    pub(super) fn bind(&mut self, params: &[Set], args: &[String]) {
        let mut places = Vec::new();
        let mut by_name = BTreeMap::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.strip_prefix('-') {
                Some(name) => {
                    by_name.insert(name.to_lowercase(), args.next().cloned().unwrap_or_default());
                }
                None => places.push(arg.clone()),
            }
        }
        let mut places = places.into_iter();
        for param in params {
            let given = by_name.remove(&param.name.to_lowercase()).or_else(|| places.next());
            match given.map(ScriptValue::Text) {
                Some(value) => drop(self.vars.insert(self.slot(&param.name), value)),
                None => self.set(param),
            }
        }
    }
}

/// The name of a program without its folder and ending.
fn base(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    name.trim_end_matches(".cmd").trim_end_matches(".exe").to_owned()
}
