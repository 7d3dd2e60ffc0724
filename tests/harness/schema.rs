//! Holds answers against the description of the interface.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// The description that a daemon gives of itself.
pub(crate) struct Description(pub(crate) Value);

impl Description {
    /// Returns the schema of an answer.
    pub(crate) fn answer(
        &self,
        path: &str,
        method: &str,
        status: u16,
        content_type: &str,
    ) -> Result<&Value> {
        let responses = &self.0["paths"][path][method]["responses"];
        let place = || format!("{method} {path} {status} {content_type}");
        let response = responses
            .get(status.to_string())
            .or_else(|| responses.get("default"))
            .with_context(|| format!("{} is not described", place()))?;
        self.resolve(response)?["content"]
            .get(content_type)
            .map(|content| &content["schema"])
            .with_context(|| format!("{} is not described: {response}", place()))
    }

    /// Fails unless `value` is what `schema` says, and has no field that it does not name.
    pub(crate) fn check(&self, value: &Value, schema: &Value) -> Result<()> {
        let schema = self.resolve(schema)?;
        let rules = schema.as_object().context("a schema is an object")?;
        if let Some(choices) = rules.get("oneOf").or_else(|| rules.get("anyOf")) {
            return self.check_choices(value, choices);
        }
        if let Some(all) = rules.get("allOf") {
            bail!("allOf is not expected: {all}");
        }
        if let Some(words) = rules.get("enum").and_then(Value::as_array) {
            ensure!(words.contains(value), "{value} is none of {words:?}");
        }
        let types: Vec<&str> = match rules.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => return Ok(()),
        };
        ensure!(
            types.iter().any(|name| is_of_type(value, name)),
            "{value} is not of type {types:?}"
        );
        if let (Some(minimum), Some(number)) = (rules.get("minimum"), value.as_f64()) {
            ensure!(
                minimum.as_f64().is_some_and(|least| number >= least),
                "{value} < {minimum}"
            );
        }
        match value {
            Value::Object(fields) => self.check_fields(fields, rules),
            Value::Array(items) => items.iter().enumerate().try_for_each(|(at, item)| {
                self.check(item, &rules["items"])
                    .with_context(|| format!("[{at}]"))
            }),
            _ => Ok(()),
        }
    }

    fn check_choices(&self, value: &Value, choices: &Value) -> Result<()> {
        let choices = choices.as_array().context("choices are a list")?;
        let tried: Vec<_> = choices
            .iter()
            .map(|choice| self.check(value, choice))
            .collect();
        ensure!(
            tried.iter().any(Result::is_ok),
            "{value} fits no choice: {tried:?}"
        );
        Ok(())
    }

    fn check_fields(&self, fields: &Map<String, Value>, rules: &Map<String, Value>) -> Result<()> {
        let Some(known) = rules.get("properties").and_then(Value::as_object) else {
            return Ok(());
        };
        for required in rules
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = required.as_str().unwrap_or_default();
            ensure!(fields.contains_key(name), "`{name}` is missing");
        }
        for (name, value) in fields {
            let schema = known
                .get(name)
                .with_context(|| format!("`{name}` is not described"))?;
            self.check(value, schema)
                .with_context(|| format!("in `{name}`"))?;
        }
        Ok(())
    }

    fn resolve<'v>(&'v self, value: &'v Value) -> Result<&'v Value> {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self
                .0
                .pointer(reference.trim_start_matches('#'))
                .with_context(|| format!("{reference} leads nowhere")),
            None => Ok(value),
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
