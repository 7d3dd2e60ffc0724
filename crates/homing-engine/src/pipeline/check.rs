//! Check: what a source may never put into a target.

use std::borrow::Cow;

use homing_core::ItemKey;

/// Files and directories that a tool runs or obeys without being asked: a pattern for one path component (a `*` may
/// stand for any characters), with the parent directory that it counts in, and what it is.
///
/// Everything that a coding agent, an editor, a shell or Git executes or takes orders from when it only opens the
/// directory; what an agent reads as text is not among them.
const ACTIVE: &[(Option<&str>, &str, &str)] = &[
    (None, ".git", "a Git directory"),
    (None, ".gitmodules", "Git's submodule settings"),
    (None, ".gitconfig", "Git's settings"),
    (None, ".hg", "a Mercurial directory"),
    (None, ".jj", "a Jujutsu directory"),
    (None, "settings*.json", "a tool's settings"),
    (None, "managed-settings*.json", "a tool's settings"),
    (None, "keybindings.json", "a tool's settings"),
    (None, ".mcp.json", "a list of tool servers"),
    (None, "mcp.json", "a list of tool servers"),
    (None, ".lsp.json", "a list of language servers"),
    (None, "hooks.json", "hooks that a tool runs"),
    (None, ".claude.json", "a tool's settings"),
    (None, "opencode.json*", "a tool's settings"),
    (None, ".envrc", "a direnv script"),
    (None, ".direnvrc", "a direnv script"),
    (None, ".direnv", "a direnv script"),
    (None, ".mise.toml", "a tool manager's settings"),
    (None, "mise.toml", "a tool manager's settings"),
    (None, ".tool-versions", "a tool manager's settings"),
    (None, ".husky", "Git hooks"),
    (None, ".pre-commit-config.yaml", "Git hooks"),
    (None, "lefthook.y*ml", "Git hooks"),
    (None, ".devcontainer", "a container that an editor starts"),
    (None, ".npmrc", "a package manager's settings"),
    (None, ".yarnrc*", "a package manager's settings"),
    (None, ".pnpmfile.cjs", "a package manager's script"),
    (None, "pip.conf", "a package manager's settings"),
    (None, ".pypirc", "a package manager's settings"),
    (None, ".netrc", "credentials"),
    (None, ".env", "variables that tools load"),
    (None, ".ssh", "keys and settings of ssh"),
    (None, ".bash*", "a shell's start-up file"),
    (None, ".profile", "a shell's start-up file"),
    (None, ".zsh*", "a shell's start-up file"),
    (None, ".zlog*", "a shell's start-up file"),
    (None, ".zprofile", "a shell's start-up file"),
    (None, ".tmux.conf", "a terminal's settings"),
    (None, ".vimrc", "an editor's script"),
    (None, ".exrc", "an editor's script"),
    (None, ".nvimrc", "an editor's script"),
    (None, ".nvim.lua", "an editor's script"),
    (None, ".emacs*", "an editor's script"),
    (None, ".dir-locals*.el", "an editor's script"),
    (None, ".gdbinit", "a debugger's script"),
    (None, ".lldbinit", "a debugger's script"),
    (None, ".rprofile", "a start-up script"),
    (None, "sitecustomize.py", "code that Python loads"),
    (None, "usercustomize.py", "code that Python loads"),
    (None, "*.pth", "code that Python loads"),
    (None, "*.desktop", "a program's launcher"),
    (None, ".idea", "an editor's settings"),
    (Some(".opencode"), "plugin*", "code that a tool loads"),
    (Some("opencode"), "plugin*", "code that a tool loads"),
    (Some(".config"), "systemd", "services that are started"),
    (Some(".vscode"), "tasks.json", "tasks that an editor runs"),
    (
        Some(".vscode"),
        "launch.json",
        "programs that an editor runs",
    ),
    (Some(".zed"), "tasks.json", "tasks that an editor runs"),
    (Some(".codex"), "config.toml", "a tool's settings"),
    (Some(".cargo"), "config*", "a build tool's settings"),
    (Some(".claude"), "hooks", "hooks that a tool runs"),
    (Some(".continue"), "config*", "a tool's settings"),
    (Some("fish"), "config.fish", "a shell's start-up file"),
];

/// Returns what makes an item active, unless `allowed` names it (by file name or by whole path).
pub(crate) fn active_file(key: &ItemKey, allowed: &[String]) -> Option<&'static str> {
    let mut parent: Option<Cow<'_, str>> = None;
    for component in key.as_str().split('/') {
        // File systems that ignore case would open `.GIT` as `.git`.
        let name = lowercase(component);
        let rule = ACTIVE.iter().find(|(within, pattern, _)| {
            within.is_none_or(|dir| parent.as_deref() == Some(dir)) && fits(pattern, &name)
        });
        if let Some((_, _, what)) = rule {
            let named = allowed
                .iter()
                .any(|name| name == component || name == key.as_str());
            return (!named).then_some(what);
        }
        parent = Some(name);
    }
    None
}

/// Returns a name as a file system may take it that ignores case and invisible characters. Most names stay as they are.
fn lowercase(name: &str) -> Cow<'_, str> {
    if name
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
    {
        let visible = name.chars().filter(|char| !is_ignorable(*char));
        Cow::Owned(visible.flat_map(char::to_lowercase).collect())
    } else {
        Cow::Borrowed(name)
    }
}

/// Tells which characters HFS+ leaves out of a comparison: `.g\u{200c}it` is `.git` there.
fn is_ignorable(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn fits(pattern: &str, name: &str) -> bool {
    // Nearly every name parts from nearly every pattern here.
    let first = pattern.bytes().next();
    if first != Some(b'*') && first != name.bytes().next() {
        return false;
    }
    match pattern.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A path for each row of the table; no other row stops it.
    const EXAMPLES: &[&str] = &[
        "a/.git/hooks/pre-commit",
        ".gitmodules",
        ".gitconfig",
        ".hg/hgrc",
        ".jj/repo/config.toml",
        "settings.local.json",
        "managed-settings.json",
        "keybindings.json",
        ".mcp.json",
        ".cursor/mcp.json",
        ".lsp.json",
        "plugin/hooks.json",
        ".claude.json",
        "opencode.jsonc",
        ".envrc",
        ".direnvrc",
        ".direnv/bin/x",
        ".mise.toml",
        "mise.toml",
        ".tool-versions",
        ".husky/pre-commit",
        ".pre-commit-config.yaml",
        "lefthook.yaml",
        ".devcontainer/devcontainer.json",
        ".npmrc",
        ".yarnrc.yml",
        ".pnpmfile.cjs",
        "pip.conf",
        ".pypirc",
        ".netrc",
        ".env",
        ".ssh/authorized_keys",
        ".bashrc",
        ".profile",
        ".zshenv",
        ".zlogin",
        ".zprofile",
        ".tmux.conf",
        ".vimrc",
        ".exrc",
        ".nvimrc",
        ".nvim.lua",
        ".emacs.d/init.el",
        ".dir-locals-2.el",
        ".gdbinit",
        ".lldbinit",
        ".Rprofile",
        "sitecustomize.py",
        "usercustomize.py",
        "lib/x.pth",
        "autostart/x.desktop",
        ".idea/workspace.xml",
        ".opencode/plugin/x.js",
        "opencode/plugins/x.js",
        ".config/systemd/user/x.service",
        ".vscode/tasks.json",
        ".vscode/launch.json",
        ".zed/tasks.json",
        ".codex/config.toml",
        ".cargo/config.toml",
        ".claude/hooks/run.sh",
        ".continue/config.yaml",
        "fish/config.fish",
    ];

    fn rows_for(path: &str) -> Vec<usize> {
        let names: Vec<Cow<'_, str>> = path.split('/').map(lowercase).collect();
        let fits_row = |(within, pattern, _): &(Option<&str>, &str, &str)| {
            (0..names.len()).any(|at| {
                let parent = at.checked_sub(1).map(|above| names[above].as_ref());
                (within.is_none() || *within == parent) && fits(pattern, &names[at])
            })
        };
        let rows = ACTIVE.iter().enumerate();
        rows.filter(|(_, row)| fits_row(row))
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn each_row_stops_what_it_is_for_and_no_row_is_without_an_example() {
        let mut shown = BTreeSet::new();
        for path in EXAMPLES {
            let rows = rows_for(path);
            assert_eq!(rows.len(), 1, "`{path}` is for one row, not for {rows:?}");
            let what = active_file(&ItemKey::new(path).unwrap(), &[]);
            assert_eq!(what, Some(ACTIVE[rows[0]].2), "{path}");
            shown.extend(rows);
        }
        let forgotten: Vec<_> = (0..ACTIVE.len())
            .filter(|row| !shown.contains(row))
            .map(|row| ACTIVE[row])
            .collect();
        assert!(forgotten.is_empty(), "{forgotten:?} have no example");
        for path in [
            ".vscode/settings.md",
            "tasks.json",
            "x/launch.json",
            "config.toml",
            "hooks/x",
            "config.fish",
        ] {
            let what = active_file(&ItemKey::new(path).unwrap(), &[]);
            assert_eq!(what, None, "{path} is only active in another place");
        }
    }

    #[test]
    fn files_that_a_tool_obeys_are_active_unless_allowed() {
        let active = |path: &str, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
            active_file(&ItemKey::new(path).unwrap(), &allowed).is_some()
        };
        for path in [
            ".git/hooks/pre-commit",
            "a/.GIT/config",
            "settings.json",
            "x/settings.local.json",
            ".mcp.json",
            ".envrc",
            ".vscode/tasks.json",
            ".g\u{200c}it/config",
            ".bash_aliases",
            "deep/x.pth",
        ] {
            assert!(active(path, &[]), "{path}");
        }
        for path in [
            "agents/review.md",
            "tasks.json",
            "gitting/x",
            "settings.md",
            "my-settings.json",
        ] {
            assert!(!active(path, &[]), "{path}");
        }
        assert!(!active("x/settings.local.json", &["settings.local.json"]));
        assert!(!active("x/.mcp.json", &["x/.mcp.json"]));
        assert!(active("x/.mcp.json", &["y/.mcp.json"]));
    }
}
