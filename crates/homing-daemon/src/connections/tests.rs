use std::pin::pin;

use axum::body::{Body, Bytes};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

async fn full(connections: &Connections) -> Vec<Place> {
    let mut places = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        places.push(connections.enter().await);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    places
}

fn is_closed(place: &Place) -> bool {
    place.closed().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn the_one_that_is_idle_for_longest_gives_way() {
    let connections = Connections::default();
    let places = full(&connections).await;
    places[0].asks();
    let began = Instant::now();
    let _new = connections.enter().await;
    let closed: Vec<usize> = (0..places.len())
        .filter(|n| is_closed(&places[*n]))
        .collect();
    assert_eq!(closed, [1], "number 0 has just asked something");
    assert!(began.elapsed() < SILENT_TIME);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_worked_for_is_left_alone_until_somebody_leaves() {
    let connections = Connections::default();
    let mut places = full(&connections).await;
    places.iter().for_each(Place::is_answered);
    let mut entering = pin!(connections.enter());
    let hour = timeout(Duration::from_hours(1), &mut entering).await;
    assert!(hour.is_err());
    assert!(!places.iter().any(is_closed));
    drop(places.pop());
    drop(entering.await);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_take_its_answers_gives_way_within_a_second_or_so() {
    let connections = Connections::default();
    let places = full(&connections).await;
    places.iter().for_each(Place::takes);
    let began = Instant::now();
    let _new = connections.enter().await;
    assert!(began.elapsed() <= Duration::from_millis(1100));
    assert_eq!(places.iter().filter(|place| is_closed(place)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_becomes_idle_later_gives_way_later() {
    let connections = Connections::default();
    let places = full(&connections).await;
    places.iter().for_each(Place::is_answered);
    let mut entering = pin!(connections.enter());
    let minute = timeout(Duration::from_mins(1), &mut entering).await;
    assert!(minute.is_err());
    places[7].asks();
    drop(entering.await);
    assert!(is_closed(&places[7]));
    // A place that was taken away is nobody's: leaving it frees nothing.
    let open = || connections.lock().open.len();
    let before = open();
    drop(places.into_iter().nth(7));
    assert_eq!(open(), before - (MAX_CONNECTIONS - 1));
}

#[tokio::test(start_paused = true)]
async fn half_a_head_gives_way_at_once_and_whoever_has_said_nothing_does_not() {
    let connections = Connections::default();
    let places = full(&connections).await;
    let (mut client, stream) = tokio::io::duplex(64);
    let mut incoming = Incoming::new(stream, places[5].clone());
    let mut buffer = [0; 64];
    assert!(incoming.read(&mut buffer).now_or_never().is_none());
    assert!(
        connections.lock().open[&places[5].0.number]
            .may_go
            .is_none_or(|at| at > Instant::now()),
        "nothing came, so nothing is cut short"
    );
    client.write_all(b"GET / HT").await.unwrap();
    assert_eq!(incoming.read(&mut buffer).await.unwrap(), 8);
    let began = Instant::now();
    let mut entering = pin!(connections.enter());
    assert!(
        entering.as_mut().now_or_never().is_none(),
        "it may be whole"
    );
    assert!(incoming.read(&mut buffer).now_or_never().is_none());
    drop(entering.await);
    assert!(is_closed(&places[5]));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(places.iter().filter(|place| is_closed(place)).count(), 1);

    // After a whole head more may be waited for: its body, or that the client goes away.
    places[6].is_answered();
    places[6].is_cut_short();
    places[7].sends_body();
    places[7].is_cut_short();
    let may_go = |place: &Place| connections.lock().open[&place.0.number].may_go;
    assert_eq!(may_go(&places[6]), None);
    assert_eq!(may_go(&places[7]), Some(Instant::now() + ASKING_TIME));
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_from_its_last_byte_and_an_answer_until_it_is_taken() {
    let connections = Connections::default();
    let place = connections.enter().await;
    let may_go = || connections.lock().open[&place.0.number].may_go;
    let chunks = |parts: &'static [&'static str]| {
        let parts = parts
            .iter()
            .map(|part| Ok::<_, std::io::Error>(Bytes::from(*part)));
        Body::from_stream(futures_util::stream::iter(parts))
    };
    let mut asked = Asked::new(chunks(&["a", "b"]), place.clone());
    let begun = may_go().unwrap();
    tokio::time::advance(Duration::from_millis(100)).await;
    asked.frame().await.unwrap().unwrap();
    assert_eq!(may_go(), Some(begun), "half a request buys no time");
    asked.frame().await.unwrap().unwrap();
    assert!(asked.frame().await.is_none());
    assert_eq!(may_go(), None);
    drop(Asked::new(Body::empty(), place.clone()));
    assert_eq!(may_go(), None, "no body, no wait");

    let mut answered = Answered::new(chunks(&["a", "b"]), place.clone());
    let first = may_go().unwrap();
    tokio::time::advance(Duration::from_millis(100)).await;
    answered.frame().await.unwrap().unwrap();
    assert!(may_go().unwrap() > first, "whoever takes may go on");
    drop(answered);
    assert_eq!(may_go(), Some(Instant::now() + ASKING_TIME));

    let quiet = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let mut quiet = Answered::new(Body::from_stream(quiet), place.clone());
    assert!(quiet.frame().now_or_never().is_none());
    assert_eq!(may_go(), None, "nothing to send is not the client's fault");
}
