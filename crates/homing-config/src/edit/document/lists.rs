//! Lists of texts that keep their form: on one line, or one entry a line.

use toml_edit::{Array, RawString, Value};

/// Adds an entry at the end, unless it is there.
pub(super) fn push(list: &mut Array, entry: &str) {
    if find(list, entry).is_some() {
        return;
    }
    let last = list
        .len()
        .checked_sub(1)
        .and_then(|last| list.get_mut(last));
    let (before, after) = last.map_or((None, None), |last| {
        let decor = last.decor_mut();
        let text = |raw: Option<&RawString>| Some(raw?.as_str()?.to_owned());
        let (before, after) = (text(decor.prefix()), text(decor.suffix()));
        if after.is_some() {
            // What stood between the last entry and the bracket.
            decor.set_suffix("");
        }
        (before, after)
    });
    let mut value = Value::from(entry);
    // Comments stay with their entry; what is taken over is how it is indented.
    let before = before.map(|before| match before.rsplit_once('\n') {
        Some((_, indent)) => format!("\n{indent}"),
        None if list.len() == 1 => " ".to_owned(),
        None => before,
    });
    let decor = value.decor_mut();
    decor.set_prefix(before.unwrap_or_default());
    decor.set_suffix(after.unwrap_or_default());
    list.push_formatted(value);
}

/// Takes an entry out, with the comment behind it on its line.
pub(super) fn pull(list: &mut Array, entry: &str) {
    while let Some(at) = find(list, entry) {
        let removed = list.remove(at);
        let own = removed.decor().prefix().and_then(RawString::as_str);
        let own = own.unwrap_or_default();
        // A comment behind the entry before stands in what came before this one.
        let behind = own
            .split('\n')
            .next()
            .filter(|line| line.contains('#'))
            .unwrap_or_default();
        let Some(next) = list.get_mut(at) else {
            let trailing = format!("{behind}{}", without_comment(list.trailing()));
            list.set_trailing(trailing);
            continue;
        };
        let after = next
            .decor()
            .prefix()
            .map(without_comment)
            .unwrap_or_default();
        let is_first = at == 0 && after.trim().is_empty();
        let prefix = if is_first {
            own.to_owned()
        } else {
            format!("{behind}{after}")
        };
        next.decor_mut().set_prefix(prefix);
    }
}

/// Returns what follows an entry, without a comment on the entry's own line.
fn without_comment(raw: &RawString) -> String {
    let text = raw.as_str().unwrap_or_default();
    match text.split_once('\n') {
        Some((line, rest)) if line.contains('#') => format!("\n{rest}"),
        _ => text.to_owned(),
    }
}

fn find(list: &Array, entry: &str) -> Option<usize> {
    list.iter().position(|value| value.as_str() == Some(entry))
}
