//! Submodules that are followed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use homing_core::{
    Contents, FetchRequest, ItemKey, Listed, Listing, Progress, Side, SideError, UnknownReason,
};
use homing_side_git::{GitOptions, GitSide};
use testkit::{GitHttp, GitRepository, MemoryContents, NginxOptions, Node};

use crate::gateway::Gateway;
use crate::support::{TestResult, World, login};
use crate::upkeep::tidy;

/// Returns a `.gitmodules` of these paths and addresses.
fn gitmodules(modules: &[(&str, &str)]) -> String {
    modules.iter().fold(String::new(), |mut text, (path, url)| {
        writeln!(
            text,
            "[submodule \"of {path}\"]\n\tpath = {path}\n\turl = {url}"
        )
        .expect("a String takes all");
        text
    })
}

/// Commits submodules at some of their commits, and a file beside them.
fn commit(
    repository: &GitRepository,
    modules: &[(&str, &str, &str)],
    files: &[(&str, &str)],
) -> Result<String> {
    let named: Vec<(&str, &str)> = modules.iter().map(|(path, url, _)| (*path, *url)).collect();
    let named = gitmodules(&named);
    let mut changes = vec![(".gitmodules", Node::File(named.as_bytes()))];
    changes.extend(
        modules
            .iter()
            .map(|(path, _, id)| (*path, Node::Submodule(id))),
    );
    changes.extend(
        files
            .iter()
            .map(|(path, text)| (*path, Node::File(text.as_bytes()))),
    );
    repository.commit("main", &changes)
}

fn follow(options: &mut GitOptions) {
    options.submodules = true;
}

/// Returns what was listed but `.gitmodules`.
fn files(world: &World, listed: &Listed) -> BTreeMap<String, String> {
    let mut files = world.files(&listed.manifest);
    files.retain(|path, _| !path.ends_with(".gitmodules"));
    files
}

fn expect(world: &World, listed: &Listed, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let problems = &listed.manifest.problems;
    assert_eq!(files(world, listed), expected.collect(), "{problems:?}");
}

/// Returns what a person is told of a path.
fn told(listed: &Listed, path: &str) -> String {
    let mut problems = listed.manifest.problems.iter();
    let told = problems.find(|problem| problem.path == path);
    told.map(|problem| problem.message.clone())
        .unwrap_or_default()
}

/// `agents` has `tools`, which has `deep`.
struct Three {
    world: World,
    server: GitHttp,
    tools: GitRepository,
    deep: GitRepository,
    side: GitSide,
}

impl Three {
    fn new() -> Result<Option<Self>> {
        let Some(mut world) = World::over_http()? else {
            return Ok(None);
        };
        let server = world.server.take().context("it is served over HTTP")?;
        let (tools, deep) = (GitRepository::new()?, GitRepository::new()?);
        server.serve("tools.git", tools.path())?;
        server.serve("deep.git", deep.path())?;
        let id = deep.commit("main", &[("d.md", Node::File(b"deep"))])?;
        let id = commit(
            &tools,
            &[("x/deep", "../deep.git", &id)],
            &[("t.md", "tool")],
        )?;
        commit(
            &world.repository,
            &[("p/tools", "../tools.git", &id)],
            &[("a.md", "a")],
        )?;
        Ok(Some(Self {
            side: world.side_with(follow)?,
            world,
            server,
            tools,
            deep,
        }))
    }

    async fn again(&self, listed: &Listed) -> Result<Listing> {
        let since = listed.revision.as_ref();
        Ok(self
            .world
            .ask(&self.side, Some(&listed.manifest), since)
            .await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_of_submodules_are_read_at_the_commits_that_are_named() -> TestResult {
    let Some(three) = Three::new()? else {
        return Ok(());
    };
    let world = &three.world;
    // What came later is not what the others name.
    three
        .deep
        .commit("main", &[("d.md", Node::File(b"deeper"))])?;
    let listed = world.list(&three.side).await?;
    let all = [
        ("a.md", "a"),
        ("p/tools/t.md", "tool"),
        ("p/tools/x/deep/d.md", "deep"),
    ];
    expect(world, &listed, &all);
    assert!(listed.shortfall.is_none() && listed.manifest.problems.is_empty());
    // Unchanged it is one request, whatever becomes of the others.
    three.server.requests()?;
    assert!(matches!(three.again(&listed).await?, Listing::Unchanged(_)));
    assert_eq!(three.server.requests()?.len(), 1);
    // Another commit of a submodule is another commit of its parent.
    let id = three
        .tools
        .commit("main", &[("t.md", Node::File(b"new"))])?;
    world.commit(&[("p/tools", Node::Submodule(&id))])?;
    let listed = three.again(&listed).await?.whole()?;
    assert_eq!(files(world, &listed)["p/tools/t.md"], "new");
    // Without the setting they are told by name.
    let listed = world.list(&world.side()?).await?;
    expect(world, &listed, &[("a.md", "a")]);
    let left_out = told(&listed, "p/tools");
    assert!(
        left_out.contains("a submodule") && left_out.contains("`exclude`"),
        "{left_out}"
    );
    let side = world.side_with(|options| options.exclude = vec!["p/tools".to_owned()])?;
    let listed = world.list(&side).await?;
    assert!(
        !listed.manifest.unknown.contains_key("p/tools") && told(&listed, "p/tools").is_empty()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_had_fails_alone_and_comes_later() -> TestResult {
    let Some(three) = Three::new()? else {
        return Ok(());
    };
    let world = &three.world;
    three.server.withdraw("deep.git")?;
    let listed = world.list(&three.side).await?;
    expect(world, &listed, &[("a.md", "a"), ("p/tools/t.md", "tool")]);
    assert!(listed.shortfall.is_some());
    let reason = &listed.manifest.unknown["p/tools/x/deep"];
    assert!(matches!(reason, UnknownReason::NotFetched(_)), "{reason:?}");
    assert!(
        reason.to_string().contains("could not be fetched"),
        "{reason}"
    );
    let examined = three.side.examine().await?;
    assert!(
        examined
            .problems
            .iter()
            .any(|problem| problem.message.contains("deep.git"))
    );
    three.server.serve("deep.git", three.deep.path())?;
    let listed = three
        .world
        .ask(&three.side, Some(&listed.manifest), None)
        .await?
        .whole()?;
    assert_eq!(files(world, &listed)["p/tools/x/deep/d.md"], "deep");
    assert!(listed.shortfall.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_safe_to_follow_is_refused_and_the_rest_comes() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let other = GitRepository::new()?;
    let id = other.commit("main", &[("b.md", Node::File(b"b"))])?;
    let path = other.path().display().to_string();
    let hostile = [
        (
            "ext",
            "ext::sh -c touch% /tmp/homing-never",
            "run a program",
        ),
        ("option", "--upload-pack=touch", "option"),
        ("relative", "somewhere/else", "relative"),
        ("secret", "https://me:s3cret@a.example/b", "password"),
    ];
    let mut modules: Vec<(&str, &str, &str)> = hostile
        .iter()
        .map(|(path, url, _)| (*path, *url, id.as_str()))
        .collect();
    modules.push(("good", &path, &id));
    commit(&world.repository, &modules, &[("a.md", "a")])?;
    world.commit(&[("nameless", Node::Submodule(&id))])?;
    let listed = world.list(&world.side_with(follow)?).await?;
    expect(&world, &listed, &[("a.md", "a"), ("good/b.md", "b")]);
    for (path, _, why) in hostile {
        let told = told(&listed, path);
        assert!(told.contains(why) && !told.contains("s3cret"), "{told}");
    }
    assert!(told(&listed, "nameless").contains("does not say where"));
    // It is known what it is, so the next run need not look again.
    assert!(listed.shortfall.is_none());
    // What is read from far away does not lead to this machine, wherever the user's own Git finds it.
    let url = "https://203.0.114.7/agents.git";
    world.configure(&format!("[url \"{}\"]\n\tinsteadOf = {url}\n", world.url))?;
    let near = "http://127.0.0.1:9/b.git";
    let modules = [
        ("file", path.as_str(), id.as_str()),
        ("here", near, &id),
        ("good", "ssh://git@localhost/b", &id),
    ];
    commit(&world.repository, &modules, &[])?;
    let side = world.side_with(|options| {
        follow(options);
        options.address = homing_side_git::Address::parse(url).expect("it is an address");
    })?;
    let listed = world.list(&side).await?;
    expect(&world, &listed, &[("a.md", "a")]);
    for path in ["file", "here", "good"] {
        let told = told(&listed, path);
        assert!(told.contains("may not lead there"), "{path}: {told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_of_them_is_read() -> TestResult {
    let Some(three) = Three::new()? else {
        return Ok(());
    };
    let world = &three.world;
    for (path, expected) in [
        (
            "p",
            &[("tools/t.md", "tool"), ("tools/x/deep/d.md", "deep")][..],
        ),
        ("p/tools", &[("t.md", "tool"), ("x/deep/d.md", "deep")]),
        ("p/tools/x", &[("deep/d.md", "deep")]),
        ("p/tools/x/deep", &[("d.md", "deep")]),
    ] {
        let side = world.side_with(|options| {
            follow(options);
            options.path = Some(path.to_owned());
        })?;
        let listed = world.list(&side).await?;
        expect(world, &listed, expected);
        let all = listed.manifest.items.len() as u64;
        assert_eq!(side.examine().await?.files, all, "{path}");
    }
    // One that is left out is not even asked for.
    three.server.withdraw("tools.git")?;
    let side = world.side_with(|options| {
        follow(options);
        options.exclude = vec!["p/".to_owned()];
    })?;
    let listed = world.list(&side).await?;
    expect(world, &listed, &[("a.md", "a")]);
    assert!(listed.shortfall.is_none());
    // Where all that is wanted is in one, nothing is known without it.
    std::fs::remove_dir_all(world.home.path().join("mirrors"))?;
    let side = world.side_with(|options| {
        follow(options);
        options.path = Some("p/tools/x".to_owned());
    })?;
    world.list(&side).await.unwrap_err();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_followed_so_deep_and_no_deeper() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let mut id = String::new();
    let mut below: Option<GitRepository> = None;
    let mut all = Vec::new();
    for _ in 0..7 {
        let next = GitRepository::new()?;
        let url = below.as_ref().map(|it| it.path().display().to_string());
        id = match &url {
            Some(url) => commit(&next, &[("m", url, &id)], &[("f", "f")])?,
            None => next.commit("main", &[("f", Node::File(b"f"))])?,
        };
        all.extend(below.replace(next));
    }
    let top = below.context("it is there")?;
    let url = top.path().display().to_string();
    commit(&world.repository, &[("m", &url, &id)], &[])?;
    let listed = world.list(&world.side_with(follow)?).await?;
    assert_eq!(files(&world, &listed).len(), 5);
    assert!(told(&listed, "m/m/m/m/m/m").contains("more than 5"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_to_its_own_server_alone() -> TestResult {
    let options = NginxOptions {
        login: Some(("ann", "s3cret")),
        ..NginxOptions::default()
    };
    let Some(own) = GitHttp::start(&options, true)? else {
        return Ok(());
    };
    let Some(strange) = GitHttp::start(&NginxOptions::default(), true)? else {
        return Ok(());
    };
    let (beside, elsewhere) = (GitRepository::new()?, GitRepository::new()?);
    let id = beside.commit("main", &[("b.md", Node::File(b"b"))])?;
    own.serve("beside.git", beside.path())?;
    let url = strange.serve("elsewhere.git", elsewhere.path())?;
    let other = elsewhere.commit("main", &[("e.md", Node::File(b"e"))])?;
    let repository = GitRepository::new()?;
    let modules = [("b", "../beside.git", id.as_str()), ("e", &url, &other)];
    commit(&repository, &modules, &[])?;
    let url = own.serve("agents.git", repository.path())?;
    let world = World::at(repository, url)?;
    let side = world.side_with(|options| {
        follow(options);
        options.login = Some(login("s3cret"));
    })?;
    let listed = world.list(&side).await?;
    expect(&world, &listed, &[("b/b.md", "b"), ("e/e.md", "e")]);
    let asked = strange.requests()?;
    assert!(
        !asked.is_empty() && !asked.iter().any(|one| one.has_credentials),
        "{asked:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_to_no_other_server() -> TestResult {
    let Some(strange) = GitHttp::start(&NginxOptions::default(), true)? else {
        return Ok(());
    };
    let moved = GitRepository::new()?;
    let id = moved.commit("main", &[("m.md", Node::File(b"m"))])?;
    let url = strange.serve("moved.git", moved.path())?;
    let gateway = Gateway::start(&url)?;
    gateway.redirect(&url);
    let leading = gateway.url(&url)?;
    let world = World::of(GitRepository::new()?)?;
    commit(&world.repository, &[("m", &leading, &id)], &[("a.md", "a")])?;
    let listed = world.list(&world.side_with(follow)?).await?;
    expect(&world, &listed, &[("a.md", "a")]);
    let reason = listed.manifest.unknown["m"].to_string();
    assert!(reason.contains("another server"), "{reason}");
    let posted = |asked: Vec<testkit::Logged>| {
        let mut asked = asked.into_iter();
        asked.any(|one| one.path.contains("git-upload-pack") && !one.path.contains("info/refs"))
    };
    assert!(!posted(strange.requests()?));
    // Neither does it where there is a token; without one a repository may have moved.
    let world = World::at(moved, leading)?;
    let side = world.side_with(|options| options.login = Some(login("s3cret")))?;
    let error = world.list(&side).await.unwrap_err().to_string();
    assert!(error.contains("the token does not go"), "{error}");
    let asked = strange.requests()?;
    assert!(!asked.iter().any(|one| one.has_credentials), "{asked:?}");
    assert!(!posted(asked));
    let listed = world.list(&world.side()?).await?;
    expect(&world, &listed, &[("m.md", "m")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_lead_nowhere_cost_little_and_leave_nothing() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    let id = world.commit(&[("a.md", Node::File(b"a"))])?;
    // Nobody listens there any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let away = |number: u32| (format!("m{number}"), format!("http://{closed}/{number}"));
    let mut modules: Vec<(String, String)> = (0..6).map(away).collect();
    modules.push(("gone".to_owned(), "../gone.git".to_owned()));
    let modules = modules.iter();
    let modules: Vec<_> = modules
        .map(|(path, url)| (path.as_str(), url.as_str(), id.as_str()))
        .collect();
    commit(&world.repository, &modules, &[])?;
    let listed = world.list(&world.side_with(follow)?).await?;
    expect(&world, &listed, &[("a.md", "a")]);
    let reason = |path: &str| listed.manifest.unknown[path].to_string();
    for (path, asked) in [
        ("m2", "/2"),
        ("m3", "/2"),
        ("m5", "/2"),
        ("gone", "gone.git"),
    ] {
        assert!(reason(path).contains(asked), "{path}: {}", reason(path));
    }
    // Only that of the repository itself is there.
    world.mirror()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn their_mirrors_stay_as_long_as_their_parents_do() -> TestResult {
    let Some(three) = Three::new()? else {
        return Ok(());
    };
    let world = &three.world;
    let listed = world.list(&three.side).await?;
    let revision = listed
        .revision
        .as_ref()
        .context("it has a revision")?
        .name
        .clone();
    let url = world.url.as_str();
    let tidied = tidy(world, &[url], &[&revision], Duration::ZERO).await?;
    assert_eq!((tidied.removed, tidied.forgotten), (0, 0));
    // A content that was lost comes from the submodule that has it.
    let lost = ["a.md", "p/tools/x/deep/d.md"];
    let requests: Vec<FetchRequest> = lost
        .iter()
        .map(|path| {
            let key = ItemKey::new(path)?;
            Ok(FetchRequest::new(&key, &listed.manifest.items[&key]))
        })
        .collect::<Result<_>>()?;
    let contents: Arc<dyn Contents> = Arc::new(MemoryContents::default());
    let fetched = three
        .side
        .fetch(requests, contents, Progress::default())
        .await;
    let failed: Vec<SideError> = fetched.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}");
    // Nobody leads to them any more.
    let without = world.commit(&[("p/tools", Node::Gone)])?;
    world.list(&three.side).await?;
    let tidied = tidy(world, &[url], &[&without], Duration::ZERO).await?;
    assert_eq!(tidied.removed, 2);
    Ok(())
}
