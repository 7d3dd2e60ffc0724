//! What GitHub refuses, and what is said of it.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use homing_core::SideError;
use homing_remote::{Client, ClientOptions};
use homing_side_github::{GithubSide, Place};
use testkit::Node;
use testkit::github::{Effect, Fault, Token};
use url::Url;

use crate::support::{TestResult, World, login};

async fn refusal(world: &World, side: &GithubSide) -> SideError {
    match world.list(side).await {
        Ok(listed) => panic!("{listed:?}"),
        Err(error) => error,
    }
}

fn world() -> Result<World> {
    World::new(&[("a.md", Node::File(b"a"))])
}

#[tokio::test]
async fn a_token_that_is_refused_is_said_to_be() -> TestResult {
    let world = world()?;
    let side = world.side_with_token("s3cret-and-wrong")?;
    let error = refusal(&world, &side).await;
    assert!(
        matches!(&error, SideError::Auth { message, .. } if message.contains("refuses the token")),
        "{error:?}"
    );
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    assert_eq!(world.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_repository_that_is_hidden_is_told_with_what_may_mend_it() -> TestResult {
    let world = world()?;
    world.github.set_private("octo/agents", true);
    world
        .github
        .add_token(Token::classic("narrow", "octo", &["gist"]));
    world
        .github
        .add_token(Token::classic("stranger", "ann", &["repo"]).only(&["ann/own"]));
    world
        .github
        .add_token(Token::fine_grained("elsewhere", "octo", &["octo/other"]));
    world
        .github
        .add_token(Token::fine_grained("fine", "octo", &["octo/agents"]));
    for (token, is_auth, word) in [
        (None, false, "set a token"),
        (Some("narrow"), true, "scope `repo`"),
        (Some("stranger"), false, "owner has access"),
        (Some("elsewhere"), true, "was given this repository"),
    ] {
        let side = world.side_with(|options| options.login = token.map(login))?;
        let error = refusal(&world, &side).await;
        assert_eq!(
            matches!(error, SideError::Auth { .. }),
            is_auth,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, SideError::NotFound { .. }),
            !is_auth,
            "{error:?}"
        );
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(world.requests().len(), 2, "the ref, and the repository");
    }
    let listed = world.list(&world.side_with_token("fine")?).await?;
    world.expect(&listed.manifest, &[("a.md", b"a")]);
    Ok(())
}

#[tokio::test]
async fn a_ref_that_is_gone_is_told_with_the_default_branch() -> TestResult {
    let world = world()?;
    let side = world.side_with(|options| options.reference = Some("gone".to_owned()))?;
    let error = refusal(&world, &side).await;
    assert!(
        matches!(&error, SideError::NotFound { message, .. } if message.contains("`gone`") && message.contains("`main`")),
        "{error:?}"
    );
    world.github.set_default_branch("octo/agents", "away");
    let error = refusal(&world, &world.side()?).await;
    assert!(
        matches!(&error, SideError::NotFound { message, .. } if message.contains("`away`")),
        "{error:?}"
    );
    world.github.rename("octo/agents", "octo/skills");
    let error = refusal(&world, &side).await;
    assert!(error.to_string().contains("now `octo/skills`"), "{error}");
    Ok(())
}

#[tokio::test]
async fn both_limits_say_when_to_come_again() -> TestResult {
    let world = world()?;
    let side = world.side()?;
    let wait = |error: SideError| match error {
        SideError::RateLimited { wait, .. } => wait,
        other => panic!("{other:?}"),
    };
    world
        .github
        .leave(None, 0, SystemTime::now() + Duration::from_mins(30));
    let primary = wait(refusal(&world, &side).await);
    assert!(
        primary > Duration::from_mins(29) && primary <= Duration::from_mins(30),
        "{primary:?}"
    );
    world.github.renew();
    for (status, retry_after, expected) in [
        (403, Some(7), 7),
        (429, Some(90), 90),
        (403, None, 60),
        (429, None, 60),
    ] {
        world.github.fail(
            Fault::on(
                "/commits/",
                Effect::SecondaryLimit {
                    status,
                    retry_after,
                },
            )
            .times(1),
        );
        let secondary = wait(refusal(&world, &side).await);
        assert_eq!(secondary, Duration::from_secs(expected));
    }
    // The limit may come between the commit and its tree: nothing is known then.
    world
        .github
        .fail(Fault::on("/trees/", Effect::PrimaryLimit).times(1));
    wait(refusal(&world, &side).await);
    // GitHub tells of it by either status.
    world.github.renew();
    world
        .github
        .fail(Fault::on("/commits/", Effect::PrimaryLimitAs(429)).times(1));
    let primary = wait(refusal(&world, &side).await);
    assert!(primary > Duration::from_mins(10), "{primary:?}");
    Ok(())
}

#[tokio::test]
async fn other_refusals_are_what_they_are() -> TestResult {
    let world = world()?;
    world
        .github
        .add_token(Token::classic("secret", "octo", &["repo"]));
    let side = world.side_with_token("secret")?;
    for part in ["/commits/", "/trees/"] {
        world
            .github
            .fail(Fault::on(part, Effect::SingleSignOn).times(1));
        let error = refusal(&world, &side).await;
        assert!(
            matches!(&error, SideError::Auth { message, .. } if message.contains("single sign-on")),
            "{error:?}"
        );
        world
            .github
            .fail(Fault::on(part, Effect::Status(403)).times(1));
        let error = refusal(&world, &side).await;
        assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
        world
            .github
            .fail(Fault::on(part, Effect::Status(451)).times(1));
        let error = refusal(&world, &side).await;
        assert!(matches!(error, SideError::Permanent { .. }), "{error:?}");
        for effect in [
            Effect::Status(500),
            Effect::Status(502),
            Effect::Drop,
            Effect::Cut,
            Effect::Html,
        ] {
            world.github.fail(Fault::on(part, effect.clone()));
            let error = refusal(&world, &side).await;
            assert!(
                matches!(error, SideError::Transient { .. }),
                "{part} {effect:?}: {error:?}"
            );
            world.github.mend();
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_held_back_is_not_waited_for_without_end() -> TestResult {
    let world = world()?;
    let client = Client::new(ClientOptions {
        proxies: false,
        stall_timeout: Duration::from_millis(50),
        ..ClientOptions::default()
    })?;
    let side = GithubSide::new(client, world.options()?)?;
    world
        .github
        .fail(Fault::on("/trees/", Effect::Hold).times(1));
    let error = refusal(&world, &side).await;
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() -> TestResult {
    let world = world()?;
    let mut options = world.options()?;
    let api = Url::parse(&world.github.api())?;
    options.place = Place::parse(&Url::parse("https://github.com/octo/agents")?, Some(&api))?;
    let side = GithubSide::new(world.client.clone(), options)?;
    let World {
        github,
        contents,
        repository,
        client,
    } = world;
    drop(github);
    let elsewhere = World {
        github: testkit::github::GitHub::start()?,
        contents,
        repository,
        client,
    };
    let error = refusal(&elsewhere, &side).await;
    assert!(matches!(error, SideError::Unreachable { .. }), "{error:?}");
    Ok(())
}
