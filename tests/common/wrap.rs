//! Plain commands → a script that does the same, in one of the ways in which people write it.

use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Power,
    Cmd,
}

/// One command or comment, as it was printed.
enum Line {
    Comment(String),
    /// Its words as written, and the here-document behind it.
    Command(Vec<String>, Option<String>),
}

/// The commands of a printed text.
fn lines(text: &str) -> Vec<Line> {
    let mut out = Vec::new();
    let mut rest = text.lines();
    while let Some(line) = rest.next() {
        if line.starts_with('#') {
            out.push(Line::Comment(line.to_owned()));
            continue;
        }
        let mut whole = line.to_owned();
        while let Some(head) = whole.strip_suffix('\\') {
            whole = format!("{head}{}", rest.next().unwrap_or_default().trim_start());
        }
        let mut words = words(&whole);
        let mut body = None;
        if words.last().is_some_and(|it| it == "<<'EOF'") {
            words.pop();
            let lines: Vec<&str> = rest.by_ref().take_while(|it| *it != "EOF").collect();
            body = Some(lines.join("\n"));
        }
        if !words.is_empty() {
            out.push(Line::Command(words, body));
        }
    }
    out
}

/// Words parted by blanks outside of quotes and parentheses.
fn words(line: &str) -> Vec<String> {
    let (mut out, mut word) = (Vec::new(), String::new());
    let (mut single, mut double, mut depth) = (false, false, 0_usize);
    let mut escaped = false;
    for it in line.chars() {
        match it {
            _ if escaped => escaped = false,
            '\\' if !single => escaped = true,
            '\'' if !double || depth > 0 => single = !single,
            '"' if !single => double = !double,
            '(' if !single => depth += 1,
            ')' if !single => depth = depth.saturating_sub(1),
            ' ' if !single && !double && depth == 0 => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(it);
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// What a word without variables says.
fn literal(word: &str) -> Option<String> {
    if word.starts_with('"') || word.contains("<(") || word.starts_with("$(") {
        return None;
    }
    Some(word.replace("'\\''", "\u{1}").replace('\'', "").replace('\u{1}', "'"))
}

/// Choices of the one who writes the script, used up one by one.
struct Taste<'a>(std::slice::Iter<'a, u8>);

impl Taste<'_> {
    fn of(&mut self, many: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % many
    }
}

/// The script, or `None` where the shell cannot say it in the ways that this knows.
pub(crate) fn script(commands: &str, shell: Shell, choices: &[u8]) -> Option<String> {
    let mut taste = Taste(choices.iter());
    let lines = lines(commands);
    match shell {
        Shell::Bash => Some(bash(&lines, &mut taste)),
        Shell::Power => power(&lines, &mut taste),
        Shell::Cmd => cmd(&lines, &mut taste),
    }
}

/// What is to be run; a comment is written as it is, into a batch file too, where it tells import
/// what no command says.
fn command<'a>(line: &'a Line, out: &mut String) -> Option<(&'a [String], Option<&'a str>)> {
    match line {
        Line::Comment(text) => {
            let _ = writeln!(out, "{text}");
            None
        }
        Line::Command(words, body) => Some((words, body.as_deref())),
    }
}

fn joined(words: &[String], glue: &str, taste: &mut Taste<'_>) -> String {
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push_str(if at > 2 && taste.of(4) == 0 { glue } else { " " });
        }
        out.push_str(word);
    }
    out
}

fn bash(lines: &[Line], taste: &mut Taste<'_>) -> String {
    let mut out = String::from("#!/usr/bin/env bash\nset -euo pipefail\n\n");
    for (number, line) in lines.iter().enumerate() {
        let Some((words, body)) = command(line, &mut out) else { continue };
        if words[0] == "until" {
            let _ = writeln!(out, "{}", words.join(" "));
            continue;
        }
        let mut words = words.to_vec();
        values(&mut words, number, taste, &mut out);
        if let Some(body) = body {
            with_body(&words.join(" "), body, number, taste, &mut out);
            continue;
        }
        if taste.of(4) == 0 && words.len() > 5 {
            // Everything behind the verb in an array.
            let verb = words.iter().position(|it| it.starts_with('-')).unwrap_or(words.len());
            let tail = words.split_off(verb);
            let half = usize::from(taste.of(5)).min(tail.len());
            let _ = writeln!(out, "args{number}=(\n  {}\n)", tail[..half].join("\n  "));
            let _ = writeln!(out, "args{number}+=({})", tail[half..].join(" "));
            words.push(format!("\"${{args{number}[@]}}\""));
        }
        let command = joined(&words, " \\\n    ", taste);
        wrapped(&command, number, taste, &mut out);
    }
    out
}

/// Puts values of a command into variables.
fn values(words: &mut [String], number: usize, taste: &mut Taste<'_>, out: &mut String) {
    for (at, word) in words.iter_mut().enumerate().skip(2) {
        let literal = literal(word).is_some() && !word.starts_with('-');
        if !literal || taste.of(3) > 0 {
            continue;
        }
        let name = format!("v{number}_{at}");
        match (word.split_once('='), taste.of(4)) {
            (Some((key, value)), 0) if !word.starts_with('\'') => {
                let _ = writeln!(out, "{name}={value}");
                *word = format!("{key}=\"${{{name}}}\"");
            }
            (_, 1) => {
                let _ = writeln!(out, "export {name}={word}");
                *word = format!("\"${{{name}}}\"");
            }
            (_, 2) => {
                let _ =
                    writeln!(out, "{name}=\nreadonly {name}_own={word}; {name}+=${{{name}_own}}");
                *word = format!("\"${name}\"");
            }
            _ => {
                let _ = writeln!(out, "{name}={word}");
                *word = format!("\"${name}\"");
            }
        }
    }
}

fn with_body(command: &str, body: &str, number: usize, taste: &mut Taste<'_>, out: &mut String) {
    let _ = match taste.of(4) {
        0 => writeln!(
            out,
            "cat > manifest{number}.yaml <<'EOF'\n{body}\nEOF\n{}",
            command.replace("-f -", &format!("-f manifest{number}.yaml"))
        ),
        1 => writeln!(out, "cat <<'EOF' | {command}\n{body}\nEOF"),
        2 => writeln!(out, "f{number}() {{\n{command} <<'EOF'\n{body}\nEOF\n}}\nf{number}"),
        _ => writeln!(out, "{command} <<'EOF'\n{body}\nEOF"),
    };
}

fn wrapped(command: &str, number: usize, taste: &mut Taste<'_>, out: &mut String) {
    let _ = match taste.of(12) {
        0 => writeln!(out, "function f{number} {{\n  {command}\n}}\nf{number}"),
        1 => {
            writeln!(out, "f{number}() {{\n  local x=1\n  {command} || return 1\n}}\nf{number}")
        }
        2 => writeln!(out, "cd infra && {command}"),
        3 => writeln!(out, "if command -v az >/dev/null 2>&1; then\n  {command}\nfi"),
        4 => writeln!(out, "if ! {command}; then\n  echo 'failed' >&2\n  exit 1\nfi"),
        5 => writeln!(out, "sudo {command} > /dev/null"),
        6 => writeln!(out, "time A=b {command}"),
        7 => writeln!(out, "result=$({command})"),
        8 => writeln!(out, "{command} || {{ echo 'failed'; exit 1; }}"),
        9 => writeln!(out, "({command}) 2>&1 | tee -a log.txt"),
        10 => writeln!(out, "for try in 1 2 3; do\n  {command} && break\n  sleep 5\ndone"),
        _ => writeln!(out, "{command}"),
    };
}

/// The inside of double quotes as PowerShell says it.
fn power_word(word: &str) -> Option<String> {
    if let Some(text) = literal(word) {
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=".contains(it);
        let quoted = format!("'{}'", text.replace('\'', "''"));
        return Some(if text.chars().all(plain) && !text.is_empty() { text } else { quoted });
    }
    if word.contains("<(") {
        return None;
    }
    // "key=${NAME}" and "key=$(cat FILE)".
    Some(word.replace("${", "${env:").replace("$(cat ", "$(Get-Content "))
}

fn power(lines: &[Line], taste: &mut Taste<'_>) -> Option<String> {
    let mut out = String::from("$ErrorActionPreference = \"Stop\"\n\n");
    for (number, line) in lines.iter().enumerate() {
        let Some((words, body)) = command(line, &mut out) else { continue };
        if words[0] == "until" {
            continue;
        }
        let mut own: Vec<String> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let mut said = power_word(word)?;
            if at > 2 && literal(word).is_some() && !word.starts_with('-') && taste.of(3) == 0 {
                let name = format!("v{number}x{at}");
                let text = if said.starts_with('\'') { said } else { format!("\"{said}\"") };
                let _ = writeln!(out, "${name} = {text}");
                said = format!("${name}");
            }
            own.push(said);
        }
        if let Some(body) = body {
            let command = joined(&own, " `\n    ", taste);
            let _ = writeln!(out, "@'\n{body}\n'@ | {command}");
            continue;
        }
        if taste.of(5) == 0 && own.len() > 5 {
            let verb = own.iter().position(|it| it.starts_with('-')).unwrap_or(own.len());
            let tail = own.split_off(verb);
            let quoted: Vec<String> = tail
                .into_iter()
                .map(|it| if it.starts_with(['\'', '$', '"']) { it } else { format!("'{it}'") })
                .collect();
            let _ = writeln!(out, "$args{number} = @(\n    {}\n)", quoted.join(",\n    "));
            own.push(format!("@args{number}"));
        }
        let command = joined(&own, " `\n    ", taste);
        let _ = match taste.of(6) {
            0 => writeln!(
                out,
                "function Invoke-Step{number} {{\n    {command}\n}}\nInvoke-Step{number}"
            ),
            1 => writeln!(out, "if (Get-Command az) {{\n    {command}\n}}"),
            2 => writeln!(out, "try {{\n    {command}\n}} catch {{\n    Write-Host \"failed\"\n}}"),
            3 => writeln!(out, "$result{number} = {command}"),
            4 => writeln!(out, "& {command} | Out-Null"),
            _ => writeln!(out, "{command}"),
        };
    }
    Some(out)
}

fn cmd(lines: &[Line], taste: &mut Taste<'_>) -> Option<String> {
    let mut out = String::from("@echo off\nsetlocal\n\n");
    for (number, line) in lines.iter().enumerate() {
        let Some((words, body)) = command(line, &mut out) else { continue };
        if words[0] == "until" {
            continue;
        }
        if body.is_some() {
            return None;
        }
        let mut own = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let Some(text) = literal(word) else {
                let answer = word.strip_prefix("\"$(").and_then(|it| it.strip_suffix(")\""))?;
                let answer = answer.replace('\'', "\"");
                let _ = writeln!(out, "for /f %%i in ('{answer}') do set P{number}=%%i");
                own.push(format!("%P{number}%"));
                continue;
            };
            // What cmd reads in quotes too is beyond this.
            if text.contains(['"', '%', '!', '^', '\n', '\'', '`', '\\']) {
                return None;
            }
            let plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=".contains(it);
            let quoted = text.is_empty() || !text.chars().all(plain);
            if at > 2 && !text.starts_with('-') && !quoted && taste.of(3) == 0 {
                let name = format!("V{number}_{at}");
                let quotes = taste.of(2) == 0;
                let _ = match quotes {
                    true => writeln!(out, "set \"{name}={text}\""),
                    false => writeln!(out, "SET {name}={text}"),
                };
                own.push(format!("%{name}%"));
                continue;
            }
            own.push(if quoted { format!("\"{text}\"") } else { text });
        }
        let command = joined(&own, " ^\n    ", taste);
        let _ = match taste.of(5) {
            0 => writeln!(out, "call {command}"),
            1 => writeln!(out, "{command} || exit /b 1"),
            2 => writeln!(out, "if exist cluster.txt (\n    {command}\n)"),
            3 => writeln!(out, "cd infra && {command}"),
            _ => writeln!(out, "{command}"),
        };
    }
    Some(out)
}
