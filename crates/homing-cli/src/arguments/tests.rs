use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_holds_together() {
    Arguments::command().debug_assert();
}

#[test]
fn globals_go_anywhere() {
    for line in [
        "homing --json -q status",
        "homing status -q --json",
        "homing run show 3 --quiet --json",
    ] {
        let globals = parse(line).unwrap().globals;
        assert!(globals.json && globals.quiet, "{line}");
    }
}

#[test]
fn what_contradicts_itself_is_usage() {
    for line in [
        "homing",
        "homing sync team --all",
        "homing sync --dry-run --no-wait",
        "homing sync --no-wait --timeout 5s",
        "homing sync --timeout soon",
        "homing resolve team",
        "homing resolve team --ours --theirs",
        "homing resolve --ours",
        "homing sync --if-older-than soon",
        "homing sync --if-older-than 1d --dry-run",
        "homing files",
        "homing files team --recent 0",
        "homing history -n 0",
        "homing history prune",
        "homing history team prune --older-than 1d",
        "homing db backup",
        "homing db restore",
        "homing history -n 1001",
        "homing run show abc",
        "homing run show",
        "homing why",
        "homing release",
        "homing pause team --all",
        "homing pause --for soon",
        "homing resume team --all",
        "homing unheard-of",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn an_unset_variable_is_no_directory() {
    for line in [
        ["homing", "source", "add", "team", "--root", ""].as_slice(),
        &[
            "homing", "source", "add", "team", "--root", "/r", "--path", "",
        ],
        &[
            "homing", "target", "add", "claude", "--path", "", "--from", "team",
        ],
    ] {
        let refused = Arguments::try_parse_from(line).unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{line:?}");
    }
}

#[test]
fn a_sync_has_all_its_switches() {
    let line = "homing pull a b --force --timeout 1m --filter *.md --filter *.txt --accept-deletions --accept-root";
    let Command::Pull(args) = parse(line).unwrap().command else {
        panic!("not a pull")
    };
    assert_eq!(args.names, ["a", "b"]);
    assert_eq!(args.filter, ["*.md", "*.txt"]);
    assert_eq!(args.timeout, Some(Duration::from_mins(1)));
    assert!(args.force && args.accept_deletions && args.accept_root && !args.all && !args.dry_run);
}
