//! Damaged texts: nothing panics.

use homing_config::{ConfigError, EXAMPLE};

use crate::home::Home;

/// Judges a text; an error must have its places in the text.
fn judge(home: &Home, text: &str) {
    let Err(ConfigError::Invalid { diagnostics, .. }) = home.parse(text) else {
        return;
    };
    for diagnostic in diagnostics {
        let line = text
            .split('\n')
            .nth(diagnostic.line - 1)
            .unwrap_or_else(|| panic!("{diagnostic:?}"));
        assert!(
            diagnostic.column <= line.chars().count() + 1,
            "{diagnostic:?}"
        );
    }
}

#[test]
fn no_damage_to_a_text_makes_it_panic() {
    let home = Home::new();
    let lines = EXAMPLE.lines().filter(|line| !line.starts_with('#'));
    let config = lines.collect::<Vec<_>>().join("\n");
    let damage = [
        "",
        "\"",
        "[",
        "]",
        "{",
        "=",
        "\0",
        "ä",
        "99999999999999999999",
        "-1",
        "\n",
        "'''",
    ];
    for (n, (at, c)) in config.char_indices().enumerate().step_by(5) {
        judge(&home, &config[..at]);
        let damage = damage[n % damage.len()];
        judge(
            &home,
            &format!("{}{damage}{}", &config[..at], &config[at + c.len_utf8()..]),
        );
    }
}

#[test]
fn deep_nesting_is_refused() {
    let home = Home::new();
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("[{}]", vec!["a"; 100_000].join(".")),
    ] {
        assert!(home.parse(&text).is_err());
    }
}
