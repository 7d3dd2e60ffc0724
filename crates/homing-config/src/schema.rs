//! The shape of the configuration: its JSON schema and its reference, both written by `cargo xtask generate`.
//!
//! What a shape cannot say (which directories may not meet, which keys exclude each other) is judged by the readers.

mod reference;
mod shape;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

pub use reference::reference;

/// A section of the file as the schema and the reference know it.
struct Described {
    /// The property of the schema that leads to it, and the table in `config/default.toml`.
    property: &'static str,
    table: &'static str,
    /// Its keys, in the order of the reference.
    keys: &'static [&'static str],
}

const SECTIONS: [Described; 3] = [
    Described {
        property: "daemon",
        table: "daemon",
        keys: crate::daemon::KEYS,
    },
    Described {
        property: "sources",
        table: "source",
        keys: crate::source::KEYS,
    },
    Described {
        property: "targets",
        table: "target",
        keys: crate::target::KEYS,
    },
];

/// Returns the JSON schema as the text of a file.
pub fn schema() -> String {
    let mut text =
        serde_json::to_string_pretty(&sorted(described())).expect("a schema has text keys only");
    text.push('\n');
    text
}

/// Returns the schema with every default filled in.
fn described() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = without_null(
        generator
            .into_root_schema_for::<shape::Configuration>()
            .to_value(),
    );
    for section in &SECTIONS {
        let defaults = defaults(section.table);
        let Some(properties) = properties_mut(&mut schema, section.property) else {
            continue;
        };
        for (key, property) in properties.iter_mut() {
            let Some(property) = property.as_object_mut() else {
                continue;
            };
            match defaults.get(key) {
                Some(Default::Value(value)) => property.insert("default".to_owned(), value.clone()),
                Some(Default::Words(words)) => {
                    property.insert("x-default".to_owned(), json!(words))
                }
                None => None,
            };
        }
    }
    schema
}

/// What holds for a key that is not given.
enum Default {
    Value(Value),
    /// Where it is no fixed value: a comment of `config/default.toml`, as in `# every: by hand only`.
    Words(String),
}

fn defaults(table: &str) -> std::collections::BTreeMap<String, Default> {
    let document = DeTable::parse(crate::config::DEFAULTS).expect("a test reads the defaults");
    let values = document
        .get_ref()
        .get(table)
        .and_then(|table| table.get_ref().as_table());
    let values = values.into_iter().flatten();
    let mut defaults: std::collections::BTreeMap<String, Default> = values
        .map(|(key, value)| {
            (
                key.get_ref().to_string(),
                Default::Value(plain(value.get_ref())),
            )
        })
        .collect();
    let mut lines = crate::config::DEFAULTS
        .lines()
        .skip_while(|line| *line != format!("[{table}]"))
        .skip(1);
    let words = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.strip_prefix("# "));
    for (keys, words) in words.filter_map(|line| line.split_once(": ")) {
        for key in keys.split(", ") {
            defaults.insert(key.to_owned(), Default::Words(words.to_owned()));
        }
    }
    defaults
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().ok()),
        DeValue::Array(values) => values.iter().map(|value| plain(value.get_ref())).collect(),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Value::Null,
    }
}

/// Returns the keys of a section, which may be one of many of its kind.
fn properties_mut<'v>(schema: &'v mut Value, section: &str) -> Option<&'v mut Map<String, Value>> {
    let name = definition(schema, section)?;
    schema
        .get_mut("definitions")?
        .get_mut(&name)?
        .get_mut("properties")?
        .as_object_mut()
}

/// Returns the name of the definition of a section.
fn definition(schema: &Value, section: &str) -> Option<String> {
    let property = schema.get("properties")?.get(section)?;
    let property = property.get("additionalProperties").unwrap_or(property);
    let property = property.pointer("/allOf/0").unwrap_or(property);
    let reference = property.get("$ref")?.as_str()?;
    Some(reference.rsplit('/').next()?.to_owned())
}

/// TOML has no null: a key that need not be given is one that is not there.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut object: Map<String, Value> = object
                .into_iter()
                .map(|(key, value)| (key, without_null(value)))
                .collect();
            let alternatives = object.get_mut("anyOf").and_then(Value::as_array_mut);
            if let Some(alternatives) = alternatives {
                alternatives.retain(|alternative| alternative != &json!({"type": "null"}));
                if let [Value::Object(only)] = alternatives.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    let reference = only.contains_key("$ref");
                    // Beside a reference nothing else counts in this draft.
                    if reference && !object.is_empty() {
                        object.insert("allOf".to_owned(), json!([only]));
                    } else {
                        object.extend(only);
                    }
                }
            }
            if let Some(types) = object.get_mut("type").filter(|types| types.is_array()) {
                let kept: Vec<Value> = types
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|word| *word != "null")
                    .cloned()
                    .collect();
                *types = if let [only] = kept.as_slice() {
                    only.clone()
                } else {
                    Value::Array(kept)
                };
            }
            if let Some(words) = object.get_mut("enum").and_then(Value::as_array_mut) {
                words.retain(|word| !word.is_null());
            }
            Value::Object(object)
        }
        Value::Array(values) => values.into_iter().map(without_null).collect(),
        plain => plain,
    }
}

/// Orders the keys, so that the text is the same whatever features the build has.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: std::collections::BTreeMap<String, Value> = object
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            sorted.into_iter().collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described_and_has_a_default_unless_it_is_required() {
        let schema = described();
        for section in &SECTIONS {
            let name = definition(&schema, section.property).unwrap();
            let definition = &schema["definitions"][&name];
            let properties = definition["properties"].as_object().unwrap();
            let mut described: Vec<&str> = properties.keys().map(String::as_str).collect();
            let mut known = section.keys.to_vec();
            described.sort_unstable();
            known.sort_unstable();
            assert_eq!(described, known, "{}", section.property);
            let required: Vec<&str> = definition["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            for (key, property) in properties {
                assert!(property["description"].is_string(), "{key} has no meaning");
                let has_default =
                    property.get("default").is_some() || property.get("x-default").is_some();
                assert_ne!(
                    has_default,
                    required.contains(&key.as_str()),
                    "{}.{key}",
                    section.property
                );
            }
        }
    }

    #[test]
    fn nothing_may_be_null_and_nothing_else_may_be_given() {
        let schema = described();
        assert!(!schema.to_string().contains("null"), "{schema:#}");
        for section in &SECTIONS {
            let name = definition(&schema, section.property).unwrap();
            assert_eq!(
                schema["definitions"][&name]["additionalProperties"],
                json!(false)
            );
        }
    }
}
