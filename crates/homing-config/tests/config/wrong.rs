//! Mistakes in configurations: each is told with its place and how to mend it.

use crate::home::{Home, TEAM, wrong};

#[test]
fn an_error_shows_file_line_column_and_the_line() {
    let home = Home::new();
    let error = home.parse("[daemon]\n  max_rnus = 3\n").unwrap_err();
    let file = home
        .path(".config/homing/config.toml")
        .display()
        .to_string();
    assert_eq!(
        error.to_string(),
        format!("{file}:2:3: unknown key `max_rnus` in [daemon]")
    );
    assert_eq!(error.hint().as_deref(), Some("did you mean `max_runs`?"));
    assert_eq!(
        error.report(),
        format!(
            "{file}:2:3: unknown key `max_rnus` in [daemon]\n  |\n2 |   max_rnus = 3\n  |   ^^^^^^^^ did you mean `max_runs`?"
        )
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "[daemon]\nmax_runs = 0\nlog = 3\n[source.x]\n[sources.x]\nkind = \"dir\"\nroot = \"/x\"\nevery = \"soon\"\n";
    assert_eq!(
        wrong(text),
        [
            "2:12: max_runs: 0 is not between 1 and 256 [write a whole number from 1 to 256]",
            "3:7: log: a text belongs here, not a whole number [put it in quotes: \"…\"]",
            "4:2: unknown key `source` in the file [did you mean `sources`?]",
            "8:9: every: `soon` is not a duration [write for example \"500ms\", \"60s\", \"15m\", \"6h\", \"90d\" or \"2h 30m\"]",
        ]
    );
}

#[test]
fn a_socket_that_fits_no_address_is_told() {
    let path = |length: usize| format!("/{}", "s".repeat(length - 1));
    assert_eq!(
        wrong(&format!("[daemon]\nsocket = \"{}\"\n", path(108))),
        [
            "2:10: socket: the socket's path is 108 bytes long and may have 107 at most [write a shorter path, as in \"~/.homingd.sock\"]"
        ]
    );
    let fits = format!("[daemon]\nsocket = \"{}\"\n", path(107));
    Home::new().parse(&fits).unwrap();
}

#[test]
fn a_log_filter_that_is_none_is_told_with_its_place() {
    for (filter, level) in [
        ("loud", "loud"),
        ("homing=loud", "loud"),
        ("homing_engine", "homing_engine"),
    ] {
        let found = wrong(&format!("[daemon]\nlog = \"{filter}\"\n"));
        let told = format!("2:7: log: `{level}` is no level of the log [write off, error");
        assert!(
            found.len() == 1 && found[0].starts_with(&told),
            "{filter}: {found:?}"
        );
    }
}

#[test]
fn times_of_day_that_are_none_are_told() {
    for (lines, complaint) in [
        (
            "every = \"1h\"\ncron = \"0 * * * *\"\n",
            "5:8: `team` has both every and cron [keep one of them]",
        ),
        (
            "cron = \"0 25 * * *\"\n",
            "4:8: cron: `0 25 * * *`: it cannot be read as a cron pattern",
        ),
        (
            "cron = \"0 0 */6 * * *\"\n",
            "4:8: cron: `0 0 */6 * * *`: a cron pattern has five fields, and this has 6",
        ),
        (
            "cron = \"0 0 30 2 *\"\n",
            "4:8: cron: `0 0 30 2 *`: no day fits this pattern",
        ),
        (
            "cron = \"0 * * * *\"\ntimezone = \"Europe/Brelin\"\n",
            "5:12: timezone: `Europe/Brelin` is no time zone",
        ),
        (
            "every = \"1h\"\ntimezone = \"UTC\"\n",
            "5:12: timezone says nothing without cron",
        ),
    ] {
        let found = wrong(&format!("{TEAM}{lines}"));
        assert!(
            found.len() == 1 && found[0].starts_with(complaint),
            "{lines:?}: {found:?}"
        );
    }
}

#[test]
fn malformed_text_is_told_with_its_place() {
    for (text, place) in [
        ("[daemon\n", "1:"),
        ("a = \n", "1:"),
        ("[daemon]\nmax_runs = 1\nmax_runs = 2\n", "3:1"),
        ("[daemon]\nlog = \"open\n", "2:"),
        ("\0", "1:1"),
    ] {
        let found = wrong(text);
        assert!(found[0].starts_with(place), "{text:?}: {found:?}");
    }
}

#[test]
fn a_mistake_hides_no_other_one() {
    let text = "[daemon]\nmax_runs = 0\nlog = \n\
        [sources.a]\nkind = \"dir\"\nroot = 3\nevery = \"soon\"\npriority = 1001\n\
        [sources.b]\nkind = \"dri\"\npush = \"drect\"\n\
        [targets.t]\npath = 7\nfrom = [\"a\"]\nlayout = \"tere\"\n";
    let places = |text: &str| -> Vec<String> {
        let place = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        wrong(text).into_iter().map(place).collect()
    };
    let others = [
        "6:8: root:",
        "7:9: every:",
        "8:12: priority:",
        "10:8: kind:",
        "11:8: push:",
        "13:8: path:",
        "15:10: layout:",
    ];
    // Of a table that is no TOML in part, nothing else can be said.
    let found = places(text);
    assert!(found[0].starts_with("3:"), "{found:?}");
    assert_eq!(found[1..], others);
    let found = places(&text.replace("log = \n", "log = \"info\"\n"));
    assert_eq!(found[0], "2:12: max_runs:");
    assert_eq!(found[1..], others);
}

#[test]
fn what_follows_from_a_mistake_in_the_syntax_is_not_told() {
    let text = "[daemon]\nmax_runs = 0\n\
        [sources.team\nkind = \"dir\"\nroot = \"/x\"\n\
        [sources.b]\nkind = \"dir\"\nroot = \"/y\"\nkind = \"dir\"\n\
        [targets.t]\npath = \"/t\"\nfrom = [\"team\"]\n";
    let found = wrong(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("2:12: max_runs"), "{found:?}");
    assert!(found[1].starts_with("3:"), "{found:?}");
    assert!(found[2].starts_with("9:1: "), "{found:?}");
}

#[test]
fn what_belongs_to_later_versions_says_so() {
    for (text, word) in [
        ("[webhook]\nlisten = \"x\"\n", "`webhook` in the file"),
        ("[[notify]]\ndesktop = true\n", "`notify` in the file"),
        (
            &format!("{TEAM}push = \"pull-request\"\n"),
            "`pull-request`",
        ),
        (
            "[sources.a]\nkind = \"agentfs\"\nurl = \"https://x\"\n",
            "kind: `agentfs`",
        ),
    ] {
        let found = wrong(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(word) && found[0].contains("not supported by this version"),
            "{found:?}"
        );
    }
}

#[test]
fn unknown_kinds_and_words_are_suggested() {
    let found = wrong("[sources.a]\nkind = \"dri\"\nanything = 1\n");
    assert_eq!(
        found,
        ["2:8: kind: unknown word `dri` [did you mean `dir`?]"]
    );
    let found = wrong(&format!("{TEAM}push = \"drect\"\non_conflict = \"mine\"\n"));
    assert_eq!(
        found[0],
        "4:8: push: unknown word `drect` [did you mean `direct`?]"
    );
    assert_eq!(
        found[1],
        "5:15: on_conflict: unknown word `mine` [one of: ask, ours, theirs, union]"
    );
}

#[test]
fn required_keys_are_asked_for_at_the_header() {
    let found = wrong("[sources.a]\n[sources.b]\nkind = \"dir\"\n[targets.t]\n");
    assert_eq!(
        found,
        [
            "1:10: [sources.a] needs `kind` [add for example `kind = \"dir\"`]",
            "2:10: [sources.b] needs `root` [add for example `root = \"/mnt/team/agents\"`]",
            "4:10: [targets.t] needs `path` [add for example `path = \"~/.claude/agents\"`]",
            "4:10: [targets.t] needs `from` [add for example `from = [\"team\"]`]",
        ]
    );
}

#[test]
fn wrong_types_are_told() {
    for text in [
        "daemon = 3\n",
        "sources = []\n",
        "[sources]\na = 3\n",
        "[[sources.a]]\nkind = \"dir\"\n",
        &format!("{TEAM}include = \"*.md\"\n"),
        &format!("{TEAM}include = [3]\n"),
        &format!("{TEAM}enabled = \"yes\"\n"),
        &format!("{TEAM}every = 15\n"),
        &format!("{TEAM}priority = 1.5\n"),
        &format!("{TEAM}max_file_size = true\n"),
        "[sources.a]\nkind = \"dir\"\nroot = 1979-05-27\n",
    ] {
        let found = wrong(text);
        assert!(
            found.len() == 1 && found[0].contains("belongs here, not"),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn bad_names_are_told() {
    for id in [
        "Team",
        "\"\"",
        "\"a b\"",
        "\"../x\"",
        "-a",
        "\"\\u001b[2J\"",
    ] {
        let found = wrong(&format!("[sources.{id}]\nkind = \"dir\"\nroot = \"/x\"\n"));
        assert!(
            found.len() == 1 && found[0].contains("is not a valid name"),
            "{id}: {found:?}"
        );
        assert!(!found[0].contains('\u{1b}'));
    }
}

#[test]
fn values_out_of_range_are_told() {
    for line in [
        "priority = 1001",
        "priority = -1",
        "every = \"999ms\"",
        "every = \"0s\"",
        "max_file_size = 0",
        "max_file_size = \"0MiB\"",
        "max_total_size = \"0\"",
        "max_files = 0",
        "max_file_size = \"2GiB\"",
        "path = \"../up\"",
        "path = \"/abs\"",
        "path = \"\"",
    ] {
        let found = wrong(&format!("{TEAM}{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(!found[0].ends_with("[]"), "{line} has a hint: {found:?}");
    }
    for line in [
        "max_runs = 257",
        "stall_timeout = \"0s\"",
        "run_timeout = \"0s\"",
        "keep_history = \"0d\"",
    ] {
        assert_eq!(wrong(&format!("[daemon]\n{line}\n")).len(), 1, "{line}");
    }
}

#[test]
fn a_pattern_that_is_none_is_told_with_its_place() {
    let found = wrong(&format!(
        "{TEAM}include = [\"*.md\", \"a{{b\"]\nexclude = [\"a[\"]\n"
    ));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("4:20: include in [sources.team]: the pattern is malformed"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("5:12: exclude in [sources.team]: the pattern is malformed"),
        "{found:?}"
    );
}

#[test]
fn a_source_is_not_stale_before_its_next_turn() {
    let found = wrong(&format!("{TEAM}every = \"1h\"\nstale_after = \"59m\"\n"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("5:15: stale_after is shorter than every"),
        "{found:?}"
    );
    assert!(
        Home::new()
            .parse(&format!("{TEAM}every = \"1h\"\nstale_after = \"60m\"\n"))
            .is_ok()
    );
    assert!(
        Home::new()
            .parse(&format!("{TEAM}at_start = \"always\"\n"))
            .is_ok(),
        "by hand and at the start"
    );
}

#[test]
fn from_names_sources_that_exist_once_each() {
    let target = |from: &str| format!("{TEAM}[targets.t]\npath = \"/t\"\nfrom = {from}\n");
    for (from, expected) in [
        (
            "[\"taem\"]",
            "6:9: from: there is no source `taem` [did you mean `team`?]",
        ),
        (
            "[\"other\"]",
            "6:9: from: there is no source `other` [sources are: team]",
        ),
        (
            "[\"team\", \"team\"]",
            "6:17: from: `team` is named twice [remove one]",
        ),
        (
            "[]",
            "6:8: from: a target without a source would stay empty [sources are: team]",
        ),
    ] {
        assert_eq!(wrong(&target(from)), [expected]);
    }
}

#[test]
fn kinds_of_items_exist_and_stand_once_each() {
    let target =
        |rest: &str| format!("{TEAM}[targets.t]\npath = \"/t\"\nfrom = [\"team\"]\n{rest}\n");
    for (rest, expected) in [
        (
            "include_kinds = [\"skil\"]",
            "7:18: include_kinds: there is no kind `skil` [did you mean `skill`?]",
        ),
        (
            "include_kinds = [\"agent\", \"agent\"]",
            "7:27: include_kinds: `agent` is named twice [remove one]",
        ),
        (
            "include_kinds = []",
            "7:17: include_kinds: a target without a kind would stay empty [name one or more of: agent, skill, command, file]",
        ),
        (
            "on_finding = \"stop\"",
            "7:14: on_finding: unknown word `stop` [one of: block, warn, allow]",
        ),
    ] {
        assert_eq!(wrong(&target(rest)), [expected]);
    }
}

#[test]
fn new_files_go_to_a_source_of_the_target_that_may_push() {
    let text = |to: &str, push: &str| {
        format!(
            "{TEAM}push = \"{push}\"\n[sources.b]\nkind = \"dir\"\nroot = \"/b\"\n[targets.t]\npath = \"/t\"\nfrom = [\"team\"]\nnew_files_to = \"{to}\"\n"
        )
    };
    assert!(Home::new().parse(&text("team", "direct")).is_ok());
    for (text, expected) in [
        (
            text("teem", "direct"),
            "there is no source `teem` [did you mean `team`?]",
        ),
        (text("b", "direct"), "`b` is not in `from` of this target"),
        (
            text("team", "never"),
            "`team` may not push, so new files could not reach it [set `push = \"direct\"`",
        ),
    ] {
        let found = wrong(&text);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn what_a_server_or_a_repository_cannot_have_is_told() {
    let http = "[sources.a]\nkind = \"http\"\nurl = \"https://example.org/\"\n";
    let github = "[sources.a]\nkind = \"github\"\nurl = \"https://github.com/o/r\"\n";
    for (text, place, word) in [
        (
            "[sources.a]\nkind = \"http\"\narchive = true\n".to_owned(),
            "1:10",
            "needs `url`",
        ),
        (http.to_owned(), "1:10", "does not say what there is"),
        (
            format!("{http}archive = true\nindex = \"i\"\n"),
            "1:10",
            "in 2 ways",
        ),
        (format!("{http}files = []\n"), "1:10", "files is empty"),
        (format!("{http}files = [\"../a\"]\n"), "4:10", "could leave"),
        (
            format!("{http}archive = true\nroot = \"/x\"\n"),
            "5:1",
            "kind `dir`",
        ),
        (
            format!("{http}archive = true\nref = \"x\"\n"),
            "5:1",
            "kind `github`",
        ),
        (
            format!("{http}archive = true\npush = \"direct\"\n"),
            "5:8",
            "only read",
        ),
        (
            format!("{http}archive = true\nwatch = true\n"),
            "5:9",
            "cannot tell",
        ),
        (
            format!("{http}archive = true\nuser = \"ann\"\n"),
            "5:8",
            "without token",
        ),
        (
            format!("{http}archive = \"yes\"\n"),
            "4:11",
            "true or false",
        ),
        (
            format!("{http}index = \"https://ann:s3cret@e.org/i\"\n"),
            "4:9",
            "has no place in a URL",
        ),
        (format!("{github}archive = true\n"), "4:1", "kind `http`"),
        (format!("{github}ref = \"\"\n"), "4:7", "no branch"),
        (
            format!("{github}api = \"ftp://x\"\n"),
            "4:7",
            "only http and https",
        ),
        (
            github.replace("/o/r", "/o/r/tree/main"),
            "3:7",
            "not the URL of a repository",
        ),
        (
            github.replace("github.com", "s3cret@github.com"),
            "3:7",
            "no place in a URL",
        ),
        (
            github.replace("/o/r", "/o/r?token=s3cret"),
            "3:7",
            "no place in a URL",
        ),
        (
            format!("{TEAM}url = \"https://x\"\n"),
            "4:1",
            "kind `http` and `github`",
        ),
    ] {
        let found = wrong(&text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(
            found[0].starts_with(place) && found[0].contains(word),
            "{text}: {found:?}"
        );
        assert!(!found[0].contains("s3cret"), "{found:?}");
        assert!(found[0].contains('['), "there is no way out: {found:?}");
    }
}

#[test]
fn a_token_goes_over_plain_http_to_this_machine_alone() {
    let http =
        |url: &str| format!("[sources.a]\nkind = \"http\"\nurl = \"{url}\"\narchive = true\n");
    let github = |url: &str| format!("[sources.a]\nkind = \"github\"\nurl = \"{url}\"\n");
    let token = "token = { env = \"T\" }\n";
    let api = |url: &str| format!("{}api = \"{url}\"\n", github("https://ghe.example/o/r"));
    for text in [
        http("http://example.org/"),
        http("http://192.168.1.1/"),
        http("http://localhost.example.org/"),
        github("http://ghe.example/o/r"),
        api("http://ghe.example/api/v3"),
    ] {
        Home::new()
            .parse(&text)
            .expect("it is fine without a token");
        let found = wrong(&format!("{text}{token}"));
        assert!(
            found.len() == 1
                && found[0].starts_with("3:7")
                && found[0].contains("unencrypted")
                && found[0].contains("[write https://"),
            "{text}: {found:?}"
        );
    }
    for text in [
        http("https://example.org/"),
        http("http://localhost:8080/"),
        http("http://127.0.0.2/"),
        http("http://[::1]:1/"),
        api("http://127.0.0.1:1/"),
    ] {
        Home::new().parse(&format!("{text}{token}")).unwrap();
    }
}

#[test]
fn what_is_to_be_verified_is_said_whole_or_not_at_all() {
    let home = Home::new();
    let git = "[sources.a]\nkind = \"git\"\nurl = \"https://git.example.org/a.git\"\n";
    let signers = "allowed_signers = \"~/signers\"\n";
    let full = format!("ref = \"{}\"\n", "a".repeat(40));
    for (lines, word) in [
        ("verify = \"commit\"\n".to_owned(), "whose signatures count"),
        (
            signers.to_owned(),
            "allowed_signers says nothing without verify",
        ),
        (
            "keyring = \"k\"\n".to_owned(),
            "keyring says nothing without verify",
        ),
        (
            format!("verify = \"commit\"\n{signers}keyring = \"k\"\n"),
            "both allowed_signers and keyring",
        ),
        (format!("verify = \"tag\"\n{signers}"), "needs a tag"),
        (format!("verify = \"tag\"\n{full}{signers}"), "needs a tag"),
        (format!("verify = \"always\"\n{signers}"), "verify"),
        (
            format!(
                "verify = \"tag\"\nref = \"v1\"\n{}{signers}",
                full.replace("ref", "pin")
            ),
            "pin names a commit",
        ),
    ] {
        let error = home.parse(&format!("{git}{lines}")).unwrap_err();
        assert!(error.to_string().contains(word), "{lines}: {error}");
    }
    let pinned = full.replace("ref", "pin");
    home.parse(&format!("{git}verify = \"commit\"\n{pinned}{signers}"))
        .unwrap();
    let config = home.parse(&format!(
        "{git}verify = \"tag\"\nref = \"latest\"\n{signers}"
    ));
    let kind = config.unwrap().sources.into_values().next().unwrap().kind;
    let options = kind.options();
    assert!(
        options.contains(&("verify", "tag".to_owned())),
        "{options:?}"
    );
}
