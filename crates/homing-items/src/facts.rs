//! Facts: what is found out about a content, once by itself, then under its path.

use homing_core::ItemKey;

use crate::findings::{Finding, Rule};
use crate::frontmatter::{Frontmatter, Header};
use crate::kind::{Kind, own_name};
use crate::scan::{self, SCAN_BYTES};

/// Changes with the rules: what an older Homing examined is examined again.
pub const RULES: u32 = 1;

const LONGEST_NAME: usize = 64;
const LONGEST_DESCRIPTION: usize = 1024;
/// A text that agents read may have so many bytes.
const LARGEST_TEXT: u64 = 1 << 20;

/// What agents read as it stands.
const PROSE: &[&str] = &["md", "mdc", "markdown", "txt", "rst", "adoc"];
/// What is text by its name.
const TEXT: &[&str] = &[
    "json", "jsonc", "json5", "yaml", "yml", "toml", "xml", "html", "htm", "css", "csv", "tsv",
    "ini", "cfg", "conf", "sh", "bash", "zsh", "fish", "ps1", "py", "rb", "pl", "php", "js", "mjs",
    "cjs", "tsx", "jsx", "rs", "go", "java", "c", "h", "cpp", "hpp", "cs", "swift", "kt", "lua",
    "sql", "tf", "svg",
];

/// What a content is, whatever its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    header: Option<Told>,
    findings: Vec<Finding>,
    is_binary: bool,
    size: u64,
}

/// What its frontmatter says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    header: Header,
    description_chars: usize,
    name_line: u32,
    description_line: u32,
}

/// What an item is by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is for.
    pub kind: Kind,
    /// Its name; other files have none but that of the file.
    pub name: Option<String>,
    /// The version that it gives itself.
    pub version: Option<String>,
    /// What is to be said against it.
    pub findings: Vec<Finding>,
}

/// Examines the first [`SCAN_BYTES`] of a content of `size` bytes.
pub fn examine(start: &[u8], size: u64) -> Examined {
    let start = &start[..start.len().min(SCAN_BYTES)];
    let scan = scan::scan(start);
    let header = if scan.is_binary { None } else { told(start) };
    Examined {
        header,
        findings: scan.findings,
        is_binary: scan.is_binary,
        size,
    }
}

fn told(start: &[u8]) -> Option<Told> {
    if !start.starts_with(b"---") && !start.starts_with("\u{feff}---".as_bytes()) {
        return None;
    }
    let text = String::from_utf8_lossy(start);
    let frontmatter = Frontmatter::of(&text)?;
    let mut header = frontmatter.header();
    let description_chars = header
        .description
        .as_deref()
        .map_or(0, |text| text.chars().count());
    // Only its length is of interest from here on.
    header.description = header.description.map(|_| String::new());
    Some(Told {
        description_chars,
        name_line: frontmatter.line_of("name"),
        description_line: frontmatter.line_of("description"),
        header,
    })
}

impl Examined {
    /// Returns what the content is under a path.
    pub fn facts(&self, key: &ItemKey) -> Facts {
        let header = self.header.as_ref().map(|told| &told.header);
        let kind = Kind::of(key, header);
        let own = own_name(key, kind);
        let name = match kind {
            Kind::File => None,
            _ => header
                .and_then(|header| header.name.clone())
                .or_else(|| own.map(str::to_owned)),
        };
        let mut findings = Vec::new();
        self.judge_identity(kind, own, &mut findings);
        self.judge_content(key, &mut findings);
        findings.extend(self.findings.iter().cloned());
        Facts {
            kind,
            name,
            version: header
                .filter(|_| kind != Kind::File)
                .and_then(|header| header.version.clone()),
            findings,
        }
    }

    fn judge_identity(&self, kind: Kind, own: Option<&str>, findings: &mut Vec<Finding>) {
        if !matches!(kind, Kind::Agent | Kind::Skill) {
            return;
        }
        let Some(told) = &self.header else {
            let message =
                format!("the {kind} has no frontmatter, which gives a name and a description");
            findings.push(Finding::at(Rule::NoFrontmatter, (1, 1), message));
            return;
        };
        if let Some(name) = &told.header.name {
            let place = (told.name_line, 1);
            if !is_name(name) {
                let message = format!(
                    "`{}` is not 1 to {LONGEST_NAME} characters of a-z, 0-9 and single hyphens",
                    shown(name)
                );
                findings.push(Finding::at(Rule::InvalidName, place, message));
            }
            if kind == Kind::Skill && own.is_some_and(|own| own != name) {
                let message = format!("the name `{}` is not that of the directory", shown(name));
                findings.push(Finding::at(Rule::NameDiffersFromDirectory, place, message));
            }
        }
        let place = (told.description_line, 1);
        if told.header.description.is_none() {
            let message = format!("the {kind} does not say what it is for");
            findings.push(Finding::at(Rule::DescriptionMissing, place, message));
        } else if told.description_chars > LONGEST_DESCRIPTION {
            let message = format!(
                "the description has {} characters, and {LONGEST_DESCRIPTION} are allowed",
                told.description_chars
            );
            findings.push(Finding::at(Rule::DescriptionTooLong, place, message));
        }
    }

    fn judge_content(&self, key: &ItemKey, findings: &mut Vec<Finding>) {
        let extension = key
            .file_name()
            .rsplit_once('.')
            .map(|(_, end)| end.to_ascii_lowercase());
        let extension = extension.as_deref().unwrap_or("");
        let is_prose = PROSE.contains(&extension);
        if self.is_binary {
            if is_prose || TEXT.contains(&extension) {
                let message = "it is binary, and its name says that it is text";
                findings.push(Finding::at(Rule::BinaryContent, (1, 1), message));
            }
        } else if self.size > LARGEST_TEXT && is_prose {
            let message = format!(
                "the text has {} bytes, and {LARGEST_TEXT} are allowed",
                self.size
            );
            findings.push(Finding::at(Rule::OversizeText, (1, 1), message));
        } else if self.size > SCAN_BYTES as u64 {
            let message = format!(
                "only the first {SCAN_BYTES} of its {} bytes were examined",
                self.size
            );
            findings.push(Finding::at(Rule::ScannedInPart, (1, 1), message));
        }
    }
}

/// Tells whether a name is one by the Agent Skills specification.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Returns a name as it can be shown in a line.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(LONGEST_NAME).collect();
    cut.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(path: &str, text: &str) -> Facts {
        examine(text.as_bytes(), text.len() as u64).facts(&ItemKey::new(path).unwrap())
    }

    fn rules(facts: &Facts) -> Vec<(Rule, u32)> {
        facts
            .findings
            .iter()
            .map(|one| (one.rule, one.line))
            .collect()
    }

    #[test]
    fn an_agent_and_a_skill_are_named_by_their_frontmatter() {
        let agent = facts(
            "agents/a.md",
            "---\nname: helper\ndescription: helps\nversion: 1.2\n---\n",
        );
        assert_eq!(
            (agent.kind, agent.name.as_deref()),
            (Kind::Agent, Some("helper"))
        );
        assert_eq!(agent.version.as_deref(), Some("1.2"));
        assert_eq!(agent.findings, []);
        let skill = facts(
            "skills/s/SKILL.md",
            "---\nname: s\ndescription: d\nmetadata:\n  version: 3\n---\n",
        );
        assert_eq!(
            (skill.kind, skill.name.as_deref()),
            (Kind::Skill, Some("s"))
        );
        assert_eq!(skill.version.as_deref(), Some("3"));
        assert_eq!(skill.findings, []);
        let file = facts("x.md", "---\ntitle: t\nversion: 1\n---\n");
        assert_eq!(
            (file.kind, file.name, file.version),
            (Kind::File, None, None)
        );
    }

    #[test]
    fn what_is_wrong_with_an_identity_is_found_on_its_line() {
        let bare = facts("agents/a.md", "# A\n");
        assert_eq!(rules(&bare), [(Rule::NoFrontmatter, 1)]);
        assert_eq!(bare.name.as_deref(), Some("a"));
        assert_eq!(rules(&facts("commands/a.md", "# A\n")), []);
        assert_eq!(rules(&facts("a.md", "# A\n")), []);
        let skill = facts("s/SKILL.md", "---\ndescription: d\nname: Other Name\n---\n");
        assert_eq!(
            rules(&skill),
            [(Rule::InvalidName, 3), (Rule::NameDiffersFromDirectory, 3)]
        );
        assert_eq!(skill.name.as_deref(), Some("Other Name"));
        let agent = facts("agents/a.md", "---\nname: b\n---\n");
        assert_eq!(rules(&agent), [(Rule::DescriptionMissing, 1)]);
        let description = "x".repeat(LONGEST_DESCRIPTION);
        let fits = format!("---\nname: b\ndescription: {description}\n---\n");
        assert_eq!(rules(&facts("agents/a.md", &fits)), []);
        let long = format!("---\nname: b\ndescription: {description}ä\n---\n");
        assert_eq!(
            rules(&facts("agents/a.md", &long)),
            [(Rule::DescriptionTooLong, 3)]
        );
    }

    #[test]
    fn names_follow_the_specification() {
        for name in ["a", "a-b", "0", "a1-2", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "a_b",
            "a b",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn text_that_is_none_or_too_much_is_found() {
        let binary = |path: &str| {
            let examined = examine(b"\x7fELF\0\0", 6);
            rules(&examined.facts(&ItemKey::new(path).unwrap()))
        };
        for path in ["a.md", "b.MD", "c.txt", "d.json", "e.sh", "f.mdc"] {
            assert_eq!(binary(path), [(Rule::BinaryContent, 1)], "{path}");
        }
        for path in ["a.png", "a", "a.bin", ".md/x"] {
            assert_eq!(binary(path), [], "{path}");
        }
        let sized = |path: &str, size: u64| {
            let start = vec![b'x'; usize::try_from(size).unwrap().min(SCAN_BYTES + 9)];
            rules(&examine(&start, size).facts(&ItemKey::new(path).unwrap()))
        };
        assert_eq!(sized("a.md", LARGEST_TEXT), []);
        assert_eq!(sized("a.md", LARGEST_TEXT + 1), [(Rule::OversizeText, 1)]);
        assert_eq!(
            sized("a.json", LARGEST_TEXT + 1),
            [(Rule::ScannedInPart, 1)]
        );
    }
}
