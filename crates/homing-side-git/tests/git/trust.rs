//! What is not signed as it has to be is not listed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use homing_core::{Listed, Listing, SideError};
use homing_side_git::{GitSide, Keys, Signed, Trust};
use testkit::{GitRepository, Node, Signer};

use crate::support::{TestResult, World, put};

fn side(
    world: &World,
    signed: Signed,
    keys: Keys,
    reference: Option<&str>,
) -> anyhow::Result<GitSide> {
    world.side_with(|options| {
        options.trust = Some(Trust { signed, keys });
        options.reference = reference.map(str::to_owned);
    })
}

fn ssh_keys(signer: &Signer) -> Keys {
    Keys::AllowedSigners(signer.keys().to_owned())
}

/// Returns what is said of a listing that is refused.
fn refused(listed: Result<Listed, SideError>) -> String {
    match listed.map(|listed| listed.manifest) {
        Err(SideError::Unverified { message }) => message,
        other => panic!("it is not refused: {other:?}"),
    }
}

async fn over_http_and_by_git(test: impl AsyncFn(World) -> TestResult) -> TestResult {
    if let Some(world) = World::over_http()? {
        test(world).await?;
    }
    test(World::of(GitRepository::new()?)?).await
}

const A: &[(&str, Node<'_>)] = &[("a.md", Node::File(b"a\n"))];
const B: &[(&str, Node<'_>)] = &[("a.md", Node::File(b"b\n"))];

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_counts_when_a_key_that_counts_signed_it() -> TestResult {
    over_http_and_by_git(async |world| {
        let (ann, eve) = (Signer::ssh()?, Signer::ssh()?);
        // What the user's own Git trusts is not asked.
        world.configure(&format!(
            "[gpg \"ssh\"]\nallowedSignersFile = {}\nprogram = true\n[gpg]\nprogram = true\nminTrustLevel = ultimate\n",
            eve.keys().display()
        ))?;
        let signed = ann.commit(&world.repository, "main", A)?;
        let side = side(&world, Signed::Commit, ssh_keys(&ann), None)?;
        let listed = world.list(&side).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], "a\n");
        let notes = homing_core::Side::examine(&side).await?.notes.join("; ");
        assert!(notes.contains(ann.fingerprint()) && notes.contains("ann@example.invalid"), "{notes}");

        let unsigned = world.commit(B)?;
        let said = refused(world.list(&side).await);
        assert!(said.contains("no signature") && said.contains(&unsigned[..12]), "{said}");

        eve.commit(&world.repository, "main", A)?;
        let said = refused(world.list(&side).await);
        assert!(said.contains(eve.fingerprint()) && said.contains("allowed_signers"), "{said}");

        world.repository.git(&["update-ref", "refs/heads/main", &signed])?;
        assert_eq!(world.list(&side).await?.revision.unwrap().name, signed);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_something_else_does_not_count() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let ann = Signer::ssh()?;
    let signed = ann.commit(&world.repository, "main", A)?;
    let other = world.commit(B)?;
    let text = world.repository.git(&["cat-file", "commit", &signed])?;
    let tree = |commit: &str| {
        world
            .repository
            .git(&["rev-parse", &format!("{commit}^{{tree}}")])
    };
    let forged = text.replace(&tree(&signed)?, &tree(&other)?) + "\n";
    let file = world.home.path().join("forged");
    put(&file, &forged)?;
    let file = file.display().to_string();
    let id = world
        .repository
        .git(&["hash-object", "-t", "commit", "-w", &file])?;
    world
        .repository
        .git(&["update-ref", "refs/heads/main", &id])?;
    let side = side(&world, Signed::Commit, ssh_keys(&ann), None)?;
    let said = refused(world.list(&side).await);
    assert!(said.contains("is not of what it holds"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_count_no_more_are_noticed_although_nothing_else_changed() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let ann = Signer::ssh()?;
    ann.commit(&world.repository, "main", A)?;
    let side = side(&world, Signed::Commit, ssh_keys(&ann), None)?;
    let listed = world.list(&side).await?;
    let ask = async || {
        let since = listed.revision.as_ref();
        world.ask(&side, Some(&listed.manifest), since).await
    };
    assert!(matches!(ask().await?, Listing::Unchanged(_)));
    let keys = std::fs::read_to_string(ann.keys())?;
    let rewrite = |text: &str| put(ann.keys(), text);
    rewrite(&Signer::ssh().and_then(|eve| Ok(std::fs::read_to_string(eve.keys())?))?)?;
    let is_refused = |asked| matches!(asked, Err(SideError::Unverified { .. }));
    assert!(is_refused(ask().await));
    // A key that had expired when it signed.
    rewrite(&keys.replacen(' ', " valid-before=\"20200101\" ", 1))?;
    assert!(is_refused(ask().await));
    std::fs::remove_file(ann.keys())?;
    assert!(is_refused(ask().await));
    rewrite(&keys)?;
    assert!(matches!(ask().await?, Listing::Unchanged(_)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_counts_when_it_is_signed_for_this_commit_and_by_this_name() -> TestResult {
    over_http_and_by_git(async |world| {
        let ann = Signer::ssh()?;
        let (first, second) = (world.commit(A)?, world.commit(B)?);
        let signed = ann.tag(&world.repository, "v1.0.0", &first)?;
        let keys = ssh_keys(&ann);
        let latest = side(&world, Signed::Tag, keys.clone(), Some("latest"))?;
        let listed = world.list(&latest).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], "a\n");
        assert_eq!(listed.revision.unwrap().name, first);

        world.repository.git(&["tag", "v1.1.0", &second])?;
        let said = refused(world.list(&latest).await);
        assert!(said.contains("no annotated tag"), "{said}");
        world
            .repository
            .git(&["tag", "--force", "--annotate", "-m", "x", "v1.1.0", &second])?;
        let said = refused(world.list(&latest).await);
        assert!(said.contains("no signature"), "{said}");
        // An old tag under a new name would bring back what it was.
        world
            .repository
            .git(&["update-ref", "refs/tags/v1.1.0", &signed])?;
        let said = refused(world.list(&latest).await);
        assert!(said.contains("`v1.0.0`"), "{said}");
        ann.tag(&world.repository, "v1.1.0", &second)?;
        assert_eq!(world.list(&latest).await?.revision.unwrap().name, second);

        let branch = side(&world, Signed::Tag, keys, Some("main"))?;
        let said = refused(world.list(&branch).await);
        assert!(said.contains("refs/heads/main"), "{said}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn openpgp_keys_count_when_they_are_in_the_keyring_and_have_not_expired() -> TestResult {
    let (Some(ann), Some(eve), Some(late)) = (
        Signer::openpgp()?,
        Signer::openpgp()?,
        Signer::expired_openpgp()?,
    ) else {
        return Ok(());
    };
    let world = World::of(GitRepository::new()?)?;
    let keyring = world.home.path().join("keyring.asc");
    let both = std::fs::read_to_string(ann.keys())? + &std::fs::read_to_string(late.keys())?;
    put(&keyring, &both)?;
    let side = side(&world, Signed::Commit, Keys::Keyring(keyring.clone()), None)?;
    let commit = ann.commit(&world.repository, "main", A)?;
    assert_eq!(world.list(&side).await?.revision.unwrap().name, commit);
    for (signer, why) in [(&eve, "not among those that count"), (&late, "has expired")] {
        signer.commit(&world.repository, "main", B)?;
        let said = refused(world.list(&side).await);
        assert!(
            said.contains(signer.fingerprint()) && said.contains(why),
            "{said}"
        );
    }
    let ssh = Signer::ssh()?;
    ssh.commit(&world.repository, "main", B)?;
    let said = refused(world.list(&side).await);
    assert!(said.contains("SSH signature"), "{said}");
    ann.tag(&world.repository, "v1", &commit)?;
    let tagged = self::side(
        &world,
        Signed::Tag,
        Keys::Keyring(keyring.clone()),
        Some("v1"),
    )?;
    assert_eq!(world.list(&tagged).await?.revision.unwrap().name, commit);
    File::create(&keyring)?.write_all(b"no keys")?;
    let said = refused(world.list(&tagged).await);
    assert!(said.contains("gpg --export"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_gpg_a_keyring_says_so() -> TestResult {
    let Some(ann) = Signer::openpgp()? else {
        return Ok(());
    };
    let world = World::of(GitRepository::new()?)?;
    ann.commit(&world.repository, "main", A)?;
    let bin = world.home.path().join("bin");
    std::fs::create_dir(&bin)?;
    let git = String::from_utf8(
        std::process::Command::new("sh")
            .args(["-c", "command -v git"])
            .output()?
            .stdout,
    )?;
    std::os::unix::fs::symlink(Path::new(git.trim()), bin.join("git"))?;
    let side = world.side_with(|options| {
        let keys = Keys::Keyring(ann.keys().to_owned());
        options.trust = Some(Trust {
            signed: Signed::Commit,
            keys,
        });
        let path = options
            .environment
            .iter_mut()
            .find(|(name, _)| name == "PATH");
        path.expect("there is a PATH").1 = bin.clone().into();
    })?;
    let error = world
        .list(&side)
        .await
        .map(|listed| listed.manifest)
        .unwrap_err();
    assert!(
        matches!(&error, SideError::Config { message } if message.contains("GnuPG")),
        "{error:?}"
    );
    Ok(())
}
