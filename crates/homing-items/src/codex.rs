//! Codex: an agent that is written as Markdown, in the TOML that Codex reads.

use homing_core::ItemKey;
use serde::Serialize;
use serde_json::Value;

use crate::frontmatter::Frontmatter;
use crate::kind::{Kind, own_name};

/// A larger text is no agent.
const LARGEST: usize = 1 << 20;

/// So many fields that have no place are named.
const MOST_NAMED: usize = 20;

/// An agent in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// What of its frontmatter has no place there, each with why where that is not plain.
    pub left_out: Vec<String>,
}

/// Why an agent cannot be put into another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// It is no text.
    #[error("it is no UTF-8 text")]
    NotText,
    /// It is too large for an agent.
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    /// Codex ignores an agent without a description.
    #[error("its frontmatter has no `description`, without which Codex does not take it")]
    NoDescription,
    /// Codex ignores an agent without instructions.
    #[error("it says nothing beside its frontmatter, and Codex wants instructions")]
    NoInstructions,
}

/// What Codex reads of an agent's file; what it does not know makes it ignore the file.
#[derive(Serialize)]
struct Agent {
    name: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname_candidates: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_reasoning_effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_mode: Option<String>,
    developer_instructions: String,
}

/// Renders an agent as Codex reads it.
///
/// What would let the agent do more than it may by itself (a server of tools, a wider sandbox) is left out.
pub fn codex_agent(key: &ItemKey, bytes: &[u8]) -> Result<Rendered, NotRendered> {
    if bytes.len() > LARGEST {
        return Err(NotRendered::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_invalid| NotRendered::NotText)?;
    let frontmatter = Frontmatter::of(text).ok_or(NotRendered::NoDescription)?;
    let header = frontmatter.header();
    let body = frontmatter.body.trim();
    if body.is_empty() {
        return Err(NotRendered::NoInstructions);
    }
    let own = own_name(key, Kind::Agent).unwrap_or(key.file_name());
    let mut agent = Agent {
        name: header.name.unwrap_or_else(|| own.to_owned()),
        description: header.description.ok_or(NotRendered::NoDescription)?,
        nickname_candidates: None,
        model: None,
        model_reasoning_effort: None,
        sandbox_mode: None,
        developer_instructions: format!("{}\n", body.replace("\r\n", "\n")),
    };
    let mut left_out = Vec::new();
    let mut more = 0_usize;
    for (field, value) in frontmatter.mapping() {
        if let Err(why) = agent.take(&field, &value) {
            if left_out.len() == MOST_NAMED {
                more += 1;
                continue;
            }
            let field: String = field.chars().take(64).collect();
            let shown = format!("`{}`", field.escape_debug());
            left_out.push(match why {
                Some(why) => format!("{shown} ({why})"),
                None => shown,
            });
        }
    }
    if more > 0 {
        left_out.push(format!("{more} more"));
    }
    let text = toml::to_string(&agent).expect("texts and lists of texts can be written as TOML");
    Ok(Rendered { text, left_out })
}

impl Agent {
    /// Takes a field of the frontmatter over; the error says why it has no place, where there is something to say.
    fn take(&mut self, field: &str, value: &Value) -> Result<(), Option<String>> {
        let word = || {
            value
                .as_str()
                .map(str::trim)
                .filter(|word| !word.is_empty())
        };
        match field {
            "name" | "description" => Ok(()),
            "model" => match word() {
                // Codex takes its own model then, which is what that means.
                Some("inherit") => Ok(()),
                Some(model) if is_model(model) => {
                    self.model = Some(model.to_owned());
                    Ok(())
                }
                _ => Err(Some("no model of Codex's".to_owned())),
            },
            "model_reasoning_effort" | "effort" => {
                let known = ["none", "minimal", "low", "medium", "high", "xhigh"];
                match word().filter(|word| known.contains(word)) {
                    Some(effort) => {
                        self.model_reasoning_effort = Some(effort.to_owned());
                        Ok(())
                    }
                    None => Err(Some("no effort of Codex's".to_owned())),
                }
            }
            "sandbox_mode" => match word() {
                Some(mode @ ("read-only" | "workspace-write")) => {
                    // The narrower of several counts, wherever it stands.
                    if self.sandbox_mode.as_deref() != Some("read-only") {
                        self.sandbox_mode = Some(mode.to_owned());
                    }
                    Ok(())
                }
                _ => Err(Some("a source may not open the sandbox".to_owned())),
            },
            "readonly" => match value {
                Value::Bool(true) => {
                    self.sandbox_mode = Some("read-only".to_owned());
                    Ok(())
                }
                Value::Bool(false) => Ok(()),
                _ => Err(None),
            },
            "nickname_candidates" => {
                let names = value.as_array().map(|names| {
                    let texts = names.iter().filter_map(Value::as_str);
                    texts.map(str::to_owned).collect::<Vec<_>>()
                });
                match names {
                    Some(names) if are_nicknames(&names) => {
                        self.nickname_candidates = Some(names);
                        Ok(())
                    }
                    _ => Err(None),
                }
            }
            "mcp_servers" | "mcpServers" | "hooks" => {
                Err(Some("a source may not start programs".to_owned()))
            }
            _ => Err(None),
        }
    }
}

/// Tells whether a model may be one of Codex's; others make the agent fail when it is called.
fn is_model(model: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_numbered = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    model.bytes().all(fits)
        && (model.starts_with("gpt-")
            || model.starts_with("codex-")
            || model.strip_prefix('o').is_some_and(is_numbered))
}

/// Tells whether Codex takes a list of nicknames: each once, of letters, digits, spaces, hyphens and underscores.
fn are_nicknames(names: &[String]) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" -_".contains(&byte);
    let is_name =
        |name: &String| !name.trim().is_empty() && name.trim() == name && name.bytes().all(fits);
    let is_once = |(at, name): (usize, &String)| !names[..at].contains(name);
    !names.is_empty() && names.iter().all(is_name) && names.iter().enumerate().all(is_once)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(text: &str) -> Result<Rendered, NotRendered> {
        codex_agent(&ItemKey::new("agents/own.md").unwrap(), text.as_bytes())
    }

    fn parsed(rendered: &Rendered) -> toml::Table {
        rendered.text.parse().expect("what was rendered is TOML")
    }

    #[test]
    fn an_agent_is_written_as_codex_reads_it() {
        let rendered = render(
            "---\nname: reviewer\ndescription: \"Reviews: all\"\nmodel: gpt-5.4\neffort: high\nreadonly: true\n\
             nickname_candidates: [Atlas, Delta]\n---\n\n# Role\r\n\r\nSay \"\"\"what''' you \\see.\n",
        )
        .unwrap();
        let agent = parsed(&rendered);
        assert_eq!(agent["name"].as_str(), Some("reviewer"));
        assert_eq!(agent["description"].as_str(), Some("Reviews: all"));
        assert_eq!(agent["model"].as_str(), Some("gpt-5.4"));
        assert_eq!(agent["model_reasoning_effort"].as_str(), Some("high"));
        assert_eq!(agent["sandbox_mode"].as_str(), Some("read-only"));
        assert_eq!(agent["nickname_candidates"].as_array().unwrap().len(), 2);
        assert_eq!(
            agent["developer_instructions"].as_str(),
            Some("# Role\n\nSay \"\"\"what''' you \\see.\n")
        );
        assert_eq!(agent.len(), 7);
        assert!(rendered.left_out.is_empty(), "{:?}", rendered.left_out);
    }

    #[test]
    fn what_has_no_place_is_left_out_and_named() {
        let rendered = render(
            "---\ndescription: d\nmodel: sonnet\ntools: Read, Grep\ncolor: blue\neffort: max\n\
             sandbox_mode: danger-full-access\nmcp_servers: {x: {command: rm}}\nnickname_candidates: [a, a]\n---\nbody\n",
        )
        .unwrap();
        let agent = parsed(&rendered);
        assert_eq!(agent["name"].as_str(), Some("own"));
        assert_eq!(agent.len(), 3, "{agent:?}");
        assert_eq!(
            rendered.left_out,
            [
                "`model` (no model of Codex's)",
                "`tools`",
                "`color`",
                "`effort` (no effort of Codex's)",
                "`sandbox_mode` (a source may not open the sandbox)",
                "`mcp_servers` (a source may not start programs)",
                "`nickname_candidates`",
            ]
        );
        let inherits = render("---\nname: n\ndescription: d\nmodel: inherit\n---\nb").unwrap();
        assert!(inherits.left_out.is_empty() && !parsed(&inherits).contains_key("model"));
    }

    #[test]
    fn the_narrower_sandbox_counts_wherever_it_stands() {
        for fields in [
            "readonly: true\nsandbox_mode: workspace-write",
            "sandbox_mode: workspace-write\nreadonly: true",
            "readonly: false\nsandbox_mode: read-only",
            "sandbox_mode: read-only\nreadonly: false",
        ] {
            let rendered = render(&format!("---\ndescription: d\n{fields}\n---\nb")).unwrap();
            let mode = parsed(&rendered)["sandbox_mode"].clone();
            assert_eq!(mode.as_str(), Some("read-only"), "{fields}");
        }
    }

    #[test]
    fn so_many_fields_are_named_and_the_others_counted() {
        let fields = |count: usize| {
            let fields: String = (0..count)
                .flat_map(|at| ["f".to_owned(), at.to_string(), ": x\n".to_owned()])
                .collect();
            let text = format!("---\ndescription: d\n{fields}---\nb");
            render(&text).unwrap().left_out
        };
        assert_eq!(fields(20).len(), 20);
        assert_eq!(fields(20)[19], "`f19`");
        assert_eq!(fields(500)[19..], ["`f19`", "480 more"]);
    }

    #[test]
    fn what_codex_would_not_take_is_not_written() {
        for (text, why) in [
            ("# no frontmatter\n", NotRendered::NoDescription),
            ("---\nname: n\n---\nbody\n", NotRendered::NoDescription),
            (
                "---\nname: n\ndescription: d\n---\n\n \n",
                NotRendered::NoInstructions,
            ),
        ] {
            assert_eq!(render(text), Err(why), "{text}");
        }
        let key = ItemKey::new("a.md").unwrap();
        assert_eq!(codex_agent(&key, b"\xff"), Err(NotRendered::NotText));
        let large = vec![b'x'; LARGEST + 1];
        assert_eq!(codex_agent(&key, &large), Err(NotRendered::TooLarge));
    }

    #[test]
    fn models_of_others_are_known_from_codex_own() {
        for model in [
            "gpt-5.4",
            "gpt-5.3-codex",
            "o3",
            "o4-mini",
            "codex-mini-latest",
        ] {
            assert!(is_model(model), "{model}");
        }
        for model in [
            "sonnet",
            "opus",
            "claude-opus-4",
            "gemini-3-pro",
            "ollama/x",
            "o",
            "gpt-5\n",
        ] {
            assert!(!is_model(model), "{model}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn every_text_comes_back_out_of_its_toml(name in "[^\r\n:#\"']{1,20}", body in "\\PC{0,40}(\n\\PC{0,40}){0,4}") {
            let text = format!("---\nname: x{name}x\ndescription: d\n---\n{body}y\n");
            let rendered = render(&text).unwrap();
            let agent = parsed(&rendered);
            let body = format!("{}\n", format!("{body}y").trim());
            prop_assert_eq!(agent["developer_instructions"].as_str(), Some(body.as_str()));
            prop_assert_eq!(render(&text).unwrap(), rendered);
        }
    }
}
