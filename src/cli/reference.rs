//! `docs/reference/cli.md` is the help of every command, `checks.md` the table of rules; tests keep
//! them so.

use std::path::Path;

use clap::{Command, CommandFactory as _};

use super::{Cli, shared};

const HEAD: &str = "# Commands\n\nThe help of every command, as `amlplan COMMAND --help` prints it. \
    Generated; a test compares it with the program\n(`UPDATE_REFERENCE=1 cargo test --lib reference` writes it anew).\n";

fn section(command: &Command, path: &str, depth: usize, out: &mut String) {
    // The flags that all commands share stand at the program itself.
    let own = command.clone().term_width(100).bin_name(path).mut_args(|arg| {
        let shared = depth > 0 && arg.is_global_set();
        arg.hide(shared)
    });
    let help = own.clone().render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = help.join("\n");
    let marks = "#".repeat((depth + 1).clamp(2, 3));
    out.push_str(&["\n", &marks, " ", path, "\n\n```text\n", help.trim_end(), "\n```\n"].concat());
    for below in command.get_subcommands().filter(|get_subcommand| !get_subcommand.is_hide_set()) {
        if below.get_name() != "help" {
            section(below, &format!("{path} {}", below.get_name()), depth + 1, out);
        }
    }
}

fn reference() -> String {
    let mut out = HEAD.to_owned();
    section(&shared::command(), "amlplan", 0, &mut out);
    out
}

/// Compares a generated page of the docs with what the program says.
fn same(file: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(file);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, page).expect("the docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/{file} is out of date: UPDATE_REFERENCE=1 cargo test --lib reference"
    );
}

#[test]
fn the_reference_of_commands_is_what_the_program_says() {
    same("cli.md", &reference());
}

#[test]
fn the_reference_of_checks_is_the_table_of_rules() {
    same("checks.md", &crate::health::table::page());
}

#[test]
fn every_shell_has_completions_for_every_command() {
    use clap_complete::Shell;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "amlplan", &mut text);
        let text = String::from_utf8(text).expect("completions are text");
        for word in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
            assert!(text.contains(word.get_name()), "{shell} lacks {}", word.get_name());
        }
        for word in ["detailed-exitcode", "scenario", "from-az"] {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
    }
}
