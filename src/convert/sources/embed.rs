//! Scripts inside of other texts: fences of Markdown, cells of notebooks, steps of pipelines.

use super::super::script::{Piece, ScriptNote, Shell, TOOLS};

/// Whether a text may hold a command at all.
pub(super) fn holds_command(text: &str) -> bool {
    TOOLS.iter().any(|it| text.contains(&format!("{it} ")))
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
    let best = (0..3).max_by_key(|number| (counts[*number], 3 - number)).unwrap_or(0);
    let left: usize = (0..3).filter(|number| *number != best).map(|number| counts[number]).sum();
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
    let tool = line.split_whitespace().next().is_some_and(|part| TOOLS.contains(&part));
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
