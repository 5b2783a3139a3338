//! The commands of docs/broken-morning.md do what the page says: a command ends with 0 or with the
//! code behind it (`# exits 2`), and the lines of a `text` block stand in the output of the commands
//! before it.

use crate::program::Place;

fn run(place: &Place, line: &str, told: &mut String) {
    let (command, wanted) = line.split_once(" # exits ").unwrap_or((line, "0"));
    if let Some(("training-and-inference.ga.yaml", to)) =
        command.strip_prefix("cp ").and_then(|it| it.split_once(' '))
    {
        std::fs::copy(place.path("training-and-inference.ga.yaml"), place.path(to))
            .expect("a copy");
        return;
    }
    let words = command.strip_prefix("amlplan ").unwrap_or_else(|| panic!("`{line}` is unknown"));
    // One text may stand in quotes, at the end.
    let (plain, quoted) = words.split_once('"').unwrap_or((words, ""));
    let mut words: Vec<&str> = plain.split_whitespace().collect();
    words.extend(Some(quoted.trim_end_matches('"')).filter(|it| !it.is_empty()));
    let ran = place.run(&words);
    assert_eq!(ran.code.to_string(), wanted.trim(), "{line}\n{}{}", ran.out, ran.err);
    told.push_str(&ran.out);
    told.push_str(&ran.err);
}

#[test]
fn the_broken_morning_goes_as_its_page_says() {
    let place = Place::new();
    let (mut block, mut told, mut commands, mut lines) = ("", String::new(), 0, 0);
    for line in include_str!("../../docs/broken-morning.md").lines() {
        match (block, line.strip_prefix("```")) {
            ("", Some(language)) => {
                if language == "sh" {
                    told.clear();
                }
                block = language;
            }
            (_, Some(_)) => block = "",
            ("sh", None) => {
                run(&place, line, &mut told);
                commands += 1;
            }
            ("text", None) => {
                assert!(told.contains(line), "`{line}` is not in\n{told}");
                lines += 1;
            }
            _ => {}
        }
    }
    assert!(commands >= 15 && lines >= 9, "{commands} commands, {lines} lines");
}
