//! Edits of configurations as users write them: what stays byte for byte, what is refused, and where changes go.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use homing_config::{EXAMPLE, Edit, EditError, Section, Setting};

use crate::home::Home;

impl Home {
    fn begin(&self) -> Edit {
        Edit::begin(&self.locations(), &self.env).unwrap()
    }

    /// Edits the file alone and returns what becomes of it.
    fn edited(text: &str, change: impl FnOnce(&mut Edit)) -> String {
        let home = Self::with(&[("config.toml", text)]);
        let mut edit = home.begin();
        change(&mut edit);
        edit.write().unwrap();
        home.read("config.toml")
    }
}

fn dir_source(root: &str) -> [(&'static str, Setting); 2] {
    [
        ("kind", Setting::Text("dir".to_owned())),
        ("root", Setting::Text(root.to_owned())),
    ]
}

const COMMENTED: &str = "\
# My configuration

# The team's.
[sources.team]   # here
kind = \"dir\"
root   =   '~/team'  # odd spaces
# enabled = true

# Ours
[sources.mine]
kind = \"dir\"
root = \"~/mine\"

[targets.t]
path = \"~/t\"
from = [
    \"team\",  # first
    \"mine\",
]
# the end
";

#[test]
fn a_section_is_added_at_the_end_and_nothing_else_changes() {
    for text in [
        COMMENTED,
        EXAMPLE,
        "",
        "# only a comment",
        &COMMENTED.replace('\n', "\r\n"),
    ] {
        let edited = Home::edited(text, |edit| {
            edit.add(Section::Source, "new", &dir_source("/srv/\"odd\" name"))
                .unwrap();
        });
        let end = if text.contains('\r') { "\r\n" } else { "\n" };
        let added = [
            "[sources.new]",
            "kind = \"dir\"",
            "root = '/srv/\"odd\" name'",
            "",
        ]
        .join(end);
        let kept = edited
            .strip_suffix(&added)
            .unwrap_or_else(|| panic!("{edited:?}"));
        assert_eq!(kept.trim_end(), text.trim_end());
        assert!(
            kept.is_empty() || kept.ends_with(&format!("{end}{end}")),
            "{kept:?}"
        );
    }
}

#[test]
fn a_value_is_set_where_it_stands() {
    let set = |text: &str, key: &str, setting: Setting| {
        Home::edited(text, |edit| {
            edit.set(Section::Source, "team", key, &setting).unwrap();
        })
    };
    let edited = set(COMMENTED, "root", Setting::Text("~/other".to_owned()));
    assert_eq!(edited, COMMENTED.replace("'~/team'", "\"~/other\""));
    let edited = set(COMMENTED, "enabled", Setting::Flag(false));
    assert_eq!(
        edited,
        COMMENTED.replace("# odd spaces\n", "# odd spaces\nenabled = false\n")
    );
    let inline = "sources = { team = { kind = \"dir\", root = \"~/team\" } } # all\n";
    let edited = set(inline, "priority", Setting::Number(7));
    assert_eq!(
        edited,
        inline.replace("\"~/team\" }", "\"~/team\", priority = 7 }")
    );
    let dotted = "[sources]\n  team.kind = \"dir\"\n  team.root = \"~/team\"\n";
    let edited = set(dotted, "enabled", Setting::Flag(false));
    assert!(
        edited.starts_with(dotted) && edited.contains("team.enabled = false"),
        "{edited}"
    );
    let indented = "[sources.team]\n  kind = \"dir\"\n  root = \"~/team\"\n";
    let edited = set(indented, "enabled", Setting::Flag(false));
    assert_eq!(edited, format!("{indented}  enabled = false\n"));
}

#[test]
fn a_section_is_removed_with_its_own_comments_only() {
    let remove = |text: &str, name: &str| {
        Home::edited(text, |edit| {
            edit.remove(Section::Source, name).unwrap();
            edit.pull(Section::Target, "t", "from", name);
        })
    };
    assert_eq!(
        remove(COMMENTED, "team"),
        "\
# My configuration

# Ours
[sources.mine]
kind = \"dir\"
root = \"~/mine\"

[targets.t]
path = \"~/t\"
from = [
    \"mine\",
]
# the end
"
    );
    assert_eq!(
        remove(COMMENTED, "mine"),
        "\
# My configuration

# The team's.
[sources.team]   # here
kind = \"dir\"
root   =   '~/team'  # odd spaces
# enabled = true

[targets.t]
path = \"~/t\"
from = [
    \"team\",  # first
]
# the end
"
    );
    let two = "[sources.a]\nkind = \"dir\"\nroot = \"~/a\"\n\n# b\n[sources.b]\nkind = \"dir\"\nroot = \"~/b\"\n";
    assert_eq!(
        remove(two, "b"),
        "[sources.a]\nkind = \"dir\"\nroot = \"~/a\"\n"
    );
    assert_eq!(
        remove(two, "a"),
        "# b\n[sources.b]\nkind = \"dir\"\nroot = \"~/b\"\n"
    );
    assert_eq!(remove(&remove(two, "a"), "b"), "");
    let crlf = two.replace('\n', "\r\n");
    assert_eq!(
        remove(&crlf, "b"),
        "[sources.a]\r\nkind = \"dir\"\r\nroot = \"~/a\"\r\n"
    );
}

#[test]
fn lists_keep_their_form() {
    let push = |from: &str| {
        let text = COMMENTED.split("from").next().unwrap().to_owned() + from;
        let edited = Home::edited(&text, |edit| {
            edit.add(Section::Source, "new", &dir_source("/srv/new"))
                .unwrap();
            edit.push(Section::Target, "t", "from", "new").unwrap();
        });
        let from = edited.split("from").nth(1).unwrap();
        format!("from{}", from.split("\n\n[sources.new]").next().unwrap())
    };
    assert_eq!(push("from = [\"team\"]\n"), "from = [\"team\", \"new\"]");
    assert_eq!(
        push("from = [ \"team\", \"mine\" ]\n"),
        "from = [ \"team\", \"mine\", \"new\" ]"
    );
    assert_eq!(
        push("from = [\n  \"team\", # one\n  \"mine\"\n]\n"),
        "from = [\n  \"team\", # one\n  \"mine\",\n  \"new\"\n]"
    );
    assert_eq!(
        push("from = [\n  \"team\",\n  \"mine\",\n]\n"),
        "from = [\n  \"team\",\n  \"mine\",\n  \"new\",\n]"
    );
}

#[test]
fn a_section_of_a_drop_in_is_edited_there() {
    let drop_in = "# local\n[sources.team]\nenabled = true # why\n\n[sources.extra]\nkind = \"dir\"\nroot = \"~/extra\"\n";
    let home = Home::with(&[("config.toml", COMMENTED), ("config.d/local.toml", drop_in)]);
    let mut edit = home.begin();
    assert_eq!(edit.names(Section::Source), ["extra", "mine", "team"]);
    assert_eq!(
        edit.place(Section::Source, "extra"),
        Some((home.beside("config.d/local.toml").as_path(), 5))
    );
    edit.set(Section::Source, "extra", "priority", &Setting::Number(3))
        .unwrap();
    edit.set(Section::Source, "team", "enabled", &Setting::Flag(false))
        .unwrap();
    edit.set(Section::Source, "team", "priority", &Setting::Number(4))
        .unwrap();
    let changed = edit.write().unwrap();
    assert_eq!(changed.len(), 2);
    assert_eq!(
        home.read("config.d/local.toml"),
        drop_in.replace("true", "false") + "priority = 3\n"
    );
    assert!(
        home.read("config.toml")
            .contains("# odd spaces\npriority = 4\n")
    );

    let mut edit = home.begin();
    edit.pull(Section::Target, "t", "from", "team");
    edit.remove(Section::Source, "team").unwrap();
    edit.write().unwrap();
    assert!(!home.read("config.toml").contains("team"));
    assert_eq!(
        home.read("config.d/local.toml"),
        "[sources.extra]\nkind = \"dir\"\nroot = \"~/extra\"\npriority = 3\n"
    );
}

#[test]
fn what_would_not_be_valid_is_not_written() {
    let home = Home::with(&[("config.toml", COMMENTED)]);
    let mut edit = home.begin();
    edit.add(Section::Source, "new", &dir_source("~/team/deeper"))
        .unwrap();
    let error = edit.write().unwrap_err();
    let EditError::Invalid(config) = &error else {
        panic!("{error:?}")
    };
    assert!(
        config
            .report()
            .contains(":24:8: source `new` lies in source `team`"),
        "{}",
        config.report()
    );
    assert!(
        config.report().contains("root = \"~/team/deeper\""),
        "{}",
        config.report()
    );
    assert_eq!(home.read("config.toml"), COMMENTED);

    let mut edit = home.begin();
    let error = edit
        .add(Section::Source, "team", &dir_source("/x"))
        .unwrap_err();
    assert!(
        matches!(error, EditError::Exists { .. }) && error.hint().is_some(),
        "{error:?}"
    );
    let error = edit.remove(Section::Source, "taem").unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean `team`?"));
    let error = edit.remove(Section::Target, "none").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no [targets.none] in the configuration"
    );
}

#[test]
fn a_file_that_is_no_toml_is_left_alone() {
    let home = Home::with(&[("config.toml", "[sources.team\n")]);
    let locations = home.locations();
    let error = Edit::begin(&locations, &home.env).unwrap_err();
    let EditError::Unreadable(config) = error else {
        panic!("{error:?}")
    };
    assert!(
        config.report().contains("config.toml:1:"),
        "{}",
        config.report()
    );
}

#[test]
fn a_value_that_is_wrong_may_be_mended_by_an_edit() {
    let text = "[sources.team]\nkind = \"dir\"\nroot = \"~/team\"\npriority = 5000\n";
    let edited = Home::edited(text, |edit| {
        edit.set(Section::Source, "team", "priority", &Setting::Number(5))
            .unwrap();
    });
    assert_eq!(edited, text.replace("5000", "5"));
    assert_eq!(
        Home::edited(text, |edit| edit.remove(Section::Source, "team").unwrap()),
        ""
    );
}

#[test]
fn a_link_is_followed_and_the_mode_is_kept() {
    let home = Home::with(&[("config.toml", COMMENTED)]);
    let dotfiles = home.path("dotfiles");
    fs::create_dir(&dotfiles).unwrap();
    let real = dotfiles.join("homing.toml");
    fs::rename(home.beside("config.toml"), &real).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    symlink("../../dotfiles/homing.toml", home.beside("config.toml")).unwrap();
    let mut edit = home.begin();
    edit.set(Section::Source, "team", "enabled", &Setting::Flag(false))
        .unwrap();
    edit.write().unwrap();
    assert!(
        fs::symlink_metadata(home.beside("config.toml"))
            .unwrap()
            .is_symlink()
    );
    assert!(
        fs::read_to_string(&real)
            .unwrap()
            .contains("enabled = false\n")
    );
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let left: Vec<_> = fs::read_dir(&dotfiles)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["homing.toml"]);
}

#[test]
fn a_first_source_makes_the_file_for_the_user_alone() {
    let home = Home::with(&[]);
    let mut edit = home.begin();
    edit.add(Section::Source, "new", &dir_source("/srv/new"))
        .unwrap();
    edit.write().unwrap();
    assert_eq!(
        home.read("config.toml"),
        "[sources.new]\nkind = \"dir\"\nroot = \"/srv/new\"\n"
    );
    let mode = |path: &str| {
        fs::metadata(home.beside(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("config.toml"), mode("")), (0o600, 0o700));
}

#[test]
fn two_editors_do_not_lose_each_others_change() {
    let home = Home::with(&[("config.toml", COMMENTED)]);
    let mut first = home.begin();
    first
        .set(Section::Source, "team", "priority", &Setting::Number(1))
        .unwrap();
    let mut second = home.begin();
    second
        .set(Section::Source, "mine", "priority", &Setting::Number(2))
        .unwrap();
    second.write().unwrap();
    assert!(matches!(first.write(), Err(EditError::Changed)));
    let text = home.read("config.toml");
    assert!(
        text.contains("priority = 2") && !text.contains("priority = 1"),
        "{text}"
    );

    // Many at a time, each trying again: none is lost.
    let names: Vec<String> = (0..8).map(|number| format!("n{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let home = &home;
            scope.spawn(move || {
                loop {
                    let mut edit = home.begin();
                    edit.add(Section::Source, name, &dir_source(&format!("/srv/{name}")))
                        .unwrap();
                    match edit.write() {
                        Ok(_) => break,
                        Err(EditError::Changed) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    let edit = home.begin();
    assert_eq!(edit.names(Section::Source).len(), 10);
    edit.judge().unwrap();
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    let home = Home::with(&[("config.toml", COMMENTED)]);
    let mut edit = home.begin();
    edit.set(Section::Source, "team", "priority", &Setting::Number(1))
        .unwrap();
    // A directory has the name of the temporary file, which stops even root.
    fs::create_dir(home.beside(&format!(".config.toml.homing-{}", std::process::id()))).unwrap();
    let error = edit.write().unwrap_err();
    assert!(
        matches!(&error, EditError::Write { written, .. } if written.is_empty()),
        "{error:?}"
    );
    assert_eq!(home.read("config.toml"), COMMENTED);
}

#[test]
fn an_edit_changes_nothing_else_that_is_configured() {
    let drop_in = "[sources.mine]\nkind = \"dir\"\nroot = \"~/mine\"\n\n[targets.t]\npath = \"~/t\"\nfrom = [\"mine\", \"team\"]\n";
    for (main, local) in [(EXAMPLE, drop_in), (COMMENTED, "[daemon]\nmax_runs = 3\n")] {
        let home = Home::with(&[("config.toml", main), ("config.d/local.toml", local)]);
        let before = home.begin().judge().unwrap();
        for (id, source) in &before.sources {
            let mut edit = home.begin();
            edit.set(
                Section::Source,
                id.as_str(),
                "priority",
                &Setting::Number(999),
            )
            .unwrap();
            edit.add(Section::Source, "new", &dir_source("/srv/new"))
                .unwrap();
            let mut after = edit.judge().unwrap();
            let mut changed = source.clone();
            changed.priority = 999;
            assert_eq!(after.sources.remove(id), Some(changed));
            assert!(after.sources.remove(&"new".parse().unwrap()).is_some());
            let mut rest = before.sources.clone();
            rest.remove(id);
            assert_eq!(
                (&after.sources, &after.targets, &after.daemon),
                (&rest, &before.targets, &before.daemon)
            );

            let mut edit = home.begin();
            edit.remove(Section::Source, id.as_str()).unwrap();
            for (target, settings) in &before.targets {
                edit.pull(Section::Target, target.section(), "from", id.as_str());
                if settings.new_files_to.as_ref() == Some(id) {
                    edit.unset(Section::Target, target.section(), "new_files_to");
                }
            }
            let after = edit.judge().unwrap();
            assert_eq!((&after.sources, &after.daemon), (&rest, &before.daemon));
            for (target, settings) in &after.targets {
                let kept = before.targets[target]
                    .from
                    .iter()
                    .filter(|from| *from != id);
                assert!(settings.from.iter().eq(kept), "{target}");
            }
        }
    }
}
