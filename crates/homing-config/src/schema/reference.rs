//! The reference of the configuration, a page of Markdown.

use std::fmt::Write as _;

use serde_json::Value;

use super::{SECTIONS, definition, described};

const INTRODUCTION: &str = "\
# Configuration

Written by `cargo xtask generate`; do not edit. [config/example.toml](../config/example.toml) is a tour.

The file is `config.toml` in the user's configuration directory (`homing config path` shows where), or what `--config` or `HOMING_CONFIG` names. It and every drop-in must belong to you (or root) and not be writable by others.

Drop-ins are the files `config.d/*.toml` beside it. They are laid over it in the order of their names: any key may stand in any of them, a later value wins, and lists are replaced as a whole. `kind` of a source and `path` or `tool` of a target stand in one of the files only, so that two files cannot define the same name by mistake.

`homing config check` tells all that is wrong with file, line and column; `homing config show` shows what is in force with its defaults. `homing source` and `homing target` edit the files in place and keep comments and order.

Editors check and complete it by its schema: `homing config schema > schema.json` beside the file, and `#:schema ./schema.json` as its first line.
";

/// Returns the reference.
pub fn reference() -> String {
    let schema = described();
    let mut text = INTRODUCTION.to_owned();
    for section in &SECTIONS {
        let Some(name) = definition(&schema, section.property) else {
            continue;
        };
        let definition = &schema["definitions"][&name];
        let title = definition["description"].as_str().unwrap_or_default();
        let meaning = schema["properties"][section.property]["description"]
            .as_str()
            .unwrap_or_default();
        write!(
            text,
            "\n## {title}\n\n{meaning}\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
        )
        .expect("a String takes all");
        let required = |key: &str| {
            definition["required"]
                .as_array()
                .is_some_and(|keys| keys.iter().any(|k| k == key))
        };
        for key in section.keys {
            let property = &definition["properties"][key];
            let default = if required(key) {
                "required".to_owned()
            } else {
                default(property)
            };
            let meaning = property["description"]
                .as_str()
                .unwrap_or_default()
                .replace('\n', " ");
            writeln!(
                text,
                "| `{key}` | {} | {default} | {meaning} |",
                kind(property)
            )
            .expect("a String takes all");
        }
    }
    text.push_str("\n## Types\n\n");
    let types = ["path", "duration", "size", "patterns", "secret"];
    for name in types {
        let meaning = schema["definitions"][name]["description"]
            .as_str()
            .unwrap_or_default();
        writeln!(text, "* **{name}**: {meaning}").expect("a String takes all");
    }
    text
}

/// Returns the type of a key, in words.
fn kind(property: &Value) -> String {
    let reference = property.pointer("/allOf/0").unwrap_or(property)["$ref"].as_str();
    if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
        return name.to_owned();
    }
    if let Some(words) = property["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .filter_map(|word| Some(format!("`{}`", word.as_str()?)))
            .collect();
        return words.join(", ");
    }
    if let Some(word) = property["const"].as_str() {
        return format!("`{word}`");
    }
    match property["type"].as_str() {
        Some("integer") => match (&property["minimum"], &property["maximum"]) {
            (Value::Number(least), Value::Number(most)) => format!("{least} to {most}"),
            _ => "number".to_owned(),
        },
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "list of texts".to_owned(),
        _ => "text".to_owned(),
    }
}

fn default(property: &Value) -> String {
    if let Some(words) = property["x-default"].as_str() {
        return words.to_owned();
    }
    property
        .get("default")
        .map(|value| format!("`{value}`"))
        .unwrap_or_default()
}
