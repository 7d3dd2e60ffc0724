use std::path::Path;

use homing_config::EXAMPLE;

use super::*;

#[test]
fn the_example_is_shown_with_its_defaults() {
    let env = Env::with_home(Path::new("/nowhere/home"));
    let locations = Locations::find(None, None, &env).unwrap();
    let config = Config::parse(EXAMPLE, &locations, &env).unwrap();
    insta::assert_snapshot!(render(&shown(&config, &locations)), @r"
    /nowhere/home/.config/homing/config.toml

    [daemon]
    data_dir       /nowhere/home/.local/share/homing
    socket         /nowhere/home/.local/share/homing/run/homingd.sock
    max_runs       4
    per_host       8
    stall_timeout  1m
    run_timeout    2h
    shutdown_grace 25s
    keep_history   90d
    log            info
    log_format     text

    [sources.community]
    kind           dir
    root           /nowhere/home/checkouts/community-agents
    path           plugins
    include        **/*.md
    exclude        **/README.md
    cron           0 */6 * * *
    at_start       due
    watch          false
    priority       100
    push           never
    on_conflict    ask
    max_file_size  1MiB
    max_total_size 200MiB
    max_files      10000
    enabled        true

    [sources.handbook]
    kind           http
    url            https://example.org/agents/
    index          index.json
    every          1h
    at_start       due
    watch          false
    priority       100
    push           never
    on_conflict    ask
    max_file_size  10MiB
    max_total_size 1GiB
    max_files      50000
    enabled        true

    [sources.prompts]
    kind           git
    url            git@git.example.org:team/prompts.git
    path           prompts
    every          30m
    at_start       due
    watch          false
    priority       100
    push           never
    on_conflict    ask
    max_file_size  10MiB
    max_total_size 1GiB
    max_files      50000
    enabled        true

    [sources.team]
    kind           dir
    root           /nowhere/home/team/agents
    every          15m
    at_start       due
    watch          false
    priority       50
    push           direct
    on_conflict    ask
    max_file_size  10MiB
    max_total_size 1GiB
    max_files      50000
    enabled        true

    [sources.upstream]
    kind           github
    url            https://github.com/wshobson/agents
    ref            main
    path           plugins
    every          1h
    at_start       due
    watch          false
    priority       100
    push           never
    on_conflict    ask
    max_file_size  10MiB
    max_total_size 1GiB
    max_files      50000
    enabled        true

    [targets.claude]
    path           /nowhere/home/.claude/agents
    from           team, community
    layout         tree
    deletions      restore
    new_files_to   team
    include_kinds  agent, skill, command, file
    on_finding     block
    hook_timeout   30s

    [targets.codex.agents]
    tool           codex
    path           /nowhere/home/.codex/agents
    from           team, community
    layout         agents
    deletions      restore
    include_kinds  agent
    on_finding     block
    hook_timeout   30s

    [targets.codex.skills]
    tool           codex
    path           /nowhere/home/.agents/skills
    from           team, community
    layout         skills
    deletions      restore
    include_kinds  skill
    on_finding     block
    hook_timeout   30s
    ");
}

#[test]
fn what_is_wrong_is_told_with_its_lines() {
    let env = Env::with_home(Path::new("/nowhere/home"));
    let locations = Locations::find(None, None, &env).unwrap();
    let error = Config::parse("[daemon]\nmax_rnus = 3\n", &locations, &env).unwrap_err();
    insta::assert_snapshot!(told(&error), @r"
    /nowhere/home/.config/homing/config.toml:2:1: unknown key `max_rnus` in [daemon]
      |
    2 | max_rnus = 3
      | ^^^^^^^^ did you mean `max_runs`?
    ");
    assert_eq!(diagnostics(&error)[0].line, Some(2));
    let missing = ConfigError::NoHome;
    assert!(told(&missing).contains("hint: set HOME"));
    assert_eq!(diagnostics(&missing)[0].line, None);
}
