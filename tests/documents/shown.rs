//! What a document shows: commands, and what they printed.

/// A block of commands with their output.
pub(super) struct Session {
    /// The line on which it begins.
    pub(super) line: usize,
    pub(super) commands: Vec<Shown>,
}

/// A command and what it printed.
pub(super) struct Shown {
    pub(super) typed: String,
    pub(super) output: String,
}

/// Returns the blocks of kind `console`.
pub(super) fn sessions(text: &str) -> Vec<Session> {
    let mut sessions = Vec::new();
    let mut current: Option<Session> = None;
    let mut goes_on = false;
    for (at, line) in text.lines().enumerate() {
        match (&mut current, line) {
            (None, "```console") => {
                current = Some(Session {
                    line: at + 1,
                    commands: Vec::new(),
                });
            }
            (Some(_), "```") => sessions.extend(current.take()),
            (Some(session), line) => {
                if let Some(typed) = line.strip_prefix("$ ") {
                    session.commands.push(Shown {
                        typed: typed.trim_end_matches('\\').to_owned(),
                        output: String::new(),
                    });
                } else if let Some(command) = session.commands.last_mut() {
                    let part = if goes_on {
                        &mut command.typed
                    } else {
                        &mut command.output
                    };
                    part.push_str(line.trim_end_matches('\\'));
                    part.push_str(if goes_on { "" } else { "\n" });
                }
                goes_on = line.ends_with('\\');
            }
            (None, _) => {}
        }
    }
    sessions
}

/// Returns the commands in the text itself, as in `homing sync`.
pub(super) fn code_spans(text: &str) -> Vec<String> {
    let outside = text.split("\n```").step_by(2);
    let spans = outside.flat_map(|part| {
        part.lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2))
    });
    spans
        .filter(|span| span.starts_with("homing ") && !span.contains("=…"))
        .map(str::to_owned)
        .collect()
}

/// Returns the lines of blocks that are indented by four places, without output and comments.
pub(super) fn indented(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_fence = false;
    let mut is_session = false;
    let mut before = "";
    for line in text.lines() {
        in_fence ^= line.starts_with("```");
        let Some(code) = line.strip_prefix("    ").filter(|_| !in_fence) else {
            before = line;
            continue;
        };
        // What follows a list's entry is its text.
        let begins = before.is_empty();
        let starts_block = begins || before.starts_with("    ");
        if begins {
            is_session = code.starts_with("$ ");
        }
        before = line;
        let code = code.split("  #").next().unwrap_or_default().trim_end();
        match (is_session, code.strip_prefix("$ ")) {
            (true, Some(typed)) => lines.push(typed.to_owned()),
            (false, _) if starts_block && !is_log(code) => lines.push(code.to_owned()),
            _ => {}
        }
    }
    lines
}

fn is_log(line: &str) -> bool {
    line.starts_with("20") || line.starts_with(' ')
}

/// Returns the words of a line as a shell makes them, as far as documents go: quotes, and what follows a `>` is no
/// argument. Of alternatives such as `--ours|--theirs` the first counts.
pub(super) fn words(line: &str) -> Vec<String> {
    let line = line.split(" > ").next().unwrap_or_default();
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        if word.starts_with('#') || words.last().is_some_and(|last: &String| last == "2>&1") {
            break;
        }
        let first = word.split('|').next().unwrap_or_default();
        words.push(first.trim_matches(['\'', '"', '[', ']']).to_owned());
        if word.contains('|') {
            break;
        }
    }
    words
}

/// Tells whether an output is what is shown; `…` stands for anything, numbers and times for any others.
pub(super) fn fits(shown: &str, came: &str) -> bool {
    let shown = plain(shown);
    let came = plain(came);
    let mut rest = came.as_str();
    let parts: Vec<&str> = shown.split('…').map(str::trim).collect();
    for (at, part) in parts.iter().enumerate() {
        let found = match (at == 0, at + 1 == parts.len()) {
            (true, true) => return rest.trim() == *part,
            (true, false) => rest.starts_with(part).then_some(0),
            (false, true) => return rest.trim().ends_with(part),
            (false, false) => rest.find(part),
        };
        let Some(found) = found else { return false };
        rest = &rest[found + part.len()..];
    }
    true
}

/// Returns a text without what differs from run to run: numbers, times, sizes, widths of columns.
fn plain(text: &str) -> String {
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| {
            let mut plain = String::new();
            let mut run = String::new();
            for character in word.chars().chain([' ']) {
                if character.is_ascii_alphanumeric() || ".:+-".contains(character) {
                    run.push(character);
                    continue;
                }
                plain.push_str(&number(&run));
                run.clear();
                plain.push(character);
            }
            plain.trim_end().to_owned()
        });
        let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
        words.join(" ")
    };
    text.replace(" ago", "")
        .lines()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

/// Returns `#` for what has a digit in it.
fn number(run: &str) -> String {
    let body = run.trim_end_matches([':', '.', '-']);
    let end = &run[body.len()..];
    match body {
        "now" | "-" => format!("#{end}"),
        "KiB" | "MiB" | "GiB" => format!("B{end}"),
        _ if body.contains(|c: char| c.is_ascii_digit()) => format!("#{end}"),
        _ => run.to_owned(),
    }
}
