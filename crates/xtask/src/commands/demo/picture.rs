//! The demo as a picture of a terminal.

use std::fmt::Write as _;

const LINE: usize = 18;
const COLUMN: usize = 8;
const MARGIN: usize = 20;
const TOP: usize = 48;
/// Longer lines are cut, as a terminal of this width would.
const COLUMNS: usize = 118;

const TEXT: &str = "#d7dae0";
const COMMAND: &str = "#98c379";
const HEADING: &str = "#e5c07b";
const REMARK: &str = "#7f8794";
const TABLE: &str = "#61afef";
const TROUBLE: &str = "#e06c75";

/// Draws a transcript as SVG.
pub(crate) fn draw(transcript: &str) -> String {
    let lines: Vec<&str> = transcript.trim().lines().collect();
    let (width, height) = (
        COLUMNS * COLUMN + 2 * MARGIN,
        TOP + lines.len() * LINE + MARGIN,
    );
    let mut picture = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="homing in a terminal">
<rect width="{width}" height="{height}" rx="8" fill="#1b1f27"/>
<circle cx="20" cy="18" r="5" fill="#e06c75"/><circle cx="38" cy="18" r="5" fill="#e5c07b"/><circle cx="56" cy="18" r="5" fill="#98c379"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13" xml:space="preserve">
"##
    );
    for (at, line) in lines.iter().enumerate() {
        if line.is_empty() {
            continue;
        }
        let y = TOP + at * LINE;
        let (text, colour) = look(line);
        let shown: String = text.chars().take(COLUMNS).collect();
        writeln!(
            picture,
            r#"<text x="{MARGIN}" y="{y}" fill="{colour}">{}</text>"#,
            escape(&shown)
        )
        .expect("it is a string");
    }
    picture + "</g>\n</svg>\n"
}

/// Returns what is shown of a line, and its colour.
fn look(line: &str) -> (&str, &'static str) {
    if let Some(heading) = line.strip_prefix("## ") {
        return (heading, HEADING);
    }
    let is_title = line.contains("  ") && line.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
    let colour = match line {
        _ if line.starts_with("$ ") => COMMAND,
        _ if line.starts_with('#') || line.starts_with('(') => REMARK,
        _ if line.starts_with("conflict") || line.starts_with("error") => TROUBLE,
        _ if is_title => TABLE,
        _ => TEXT,
    };
    (line, colour)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_coloured_by_what_they_are_and_escaped() {
        let picture = draw("## Now\n\n$ homing why <file>\nSOURCE  STATUS\nconflict: a & b\n");
        for expected in [
            format!(r#"fill="{HEADING}">Now</text>"#),
            format!(r#"fill="{COMMAND}">$ homing why &lt;file&gt;</text>"#),
            format!(r#"fill="{TABLE}">SOURCE  STATUS</text>"#),
            format!(r#"fill="{TROUBLE}">conflict: a &amp; b</text>"#),
        ] {
            assert!(
                picture.contains(&expected),
                "{expected} is not in {picture}"
            );
        }
    }
}
