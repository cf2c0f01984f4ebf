//! The whole journey: a hub, three sharers, one downloader. A sharer is killed
//! during the transfer, then the downloader, which starts again.

use gannet_node::api::{DownloadInfo, DownloadState};
use gannet_web::Client;
use serde_json::Value;

use crate::harness::{Peer, Place, joined, noise, registered, until};

/// Big enough that two kills fit into the transfer at the sharers' limits,
/// small enough for an unoptimised build.
const BYTES: usize = 24 << 20;
/// What each sharer may send a second.
const LIMIT_UP: &str = "3M";
/// What may come twice: at the end of a download a slice that a slow source
/// still holds is asked of another too, and both may arrive.
const SLACK: u64 = 1 << 20;

fn size() -> u64 {
    u64::try_from(BYTES).unwrap()
}

async fn the_download(client: &Client) -> DownloadInfo {
    let downloads = until("download", || client.downloads(), |all| all.len() == 1).await;
    downloads.into_iter().next().unwrap()
}

/// Waits until the download has this much, and returns it as it is then.
async fn has(client: &Client, bytes: u64) -> DownloadInfo {
    let downloads = until(
        "progress",
        || client.downloads(),
        |all| all.iter().any(|one| one.have_bytes >= bytes),
    )
    .await;
    let download = downloads.into_iter().next().unwrap();
    assert_ne!(
        download.state,
        DownloadState::Complete,
        "it went too fast to be disturbed"
    );
    download
}

/// Three peers that share the file, with their uploads limited, and a file of
/// their own each.
async fn sharers(place: &Place, hub: &str, bytes: &[u8]) -> Vec<Peer> {
    let mut sharers = Vec::new();
    for name in ["one", "two", "three"] {
        let own = format!("only {name} has this.txt");
        let folder = place.folder(
            &format!("{name} files"),
            &[("Harry Potter.bin", bytes), (&own, name.as_bytes())],
        );
        let folder = folder.to_str().unwrap();
        let flags = ["up", folder, "--hub", hub, "--limit-up", LIMIT_UP];
        sharers.push(place.start(name, &flags));
    }
    for sharer in &sharers {
        registered(&sharer.client().await, 2).await;
    }
    sharers
}

/// Finds the file by words, as one row with three sources, and starts to
/// fetch it by its number.
fn start_download(place: &Place, bytes: &[u8]) {
    let search = place.ask("me", &["search", "--json", "harry", "potter"]);
    search.expect(0, &[]);
    let rows = search.json()["rows"].clone();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(rows[0]["holders"], 3, "{rows}");
    assert_eq!(rows[0]["content"], content(bytes), "{rows}");
    let get = ["get", "1", "--detach", "--json"];
    place.ask("me", &get).expect(0, &["started"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_survives_the_death_of_a_source_and_its_own() {
    let place = Place::new();
    let bytes = noise(1, BYTES);
    let mut hub = place.start("hub", &["hub"]);
    let hub_address = hub.address();
    let mut sharers = sharers(&place, &hub_address, &bytes).await;
    let up = ["up", "--hub", &hub_address];
    let downloader = place.start("me", &up);
    let client = downloader.client().await;
    joined(&client).await;
    start_download(&place, &bytes);

    // A sharer dies, the download goes on.
    has(&client, size() / 5).await;
    sharers.remove(0).kill();
    let before = has(&client, size() / 2).await;
    let givers = before.sources.iter().filter(|source| source.bytes > 0);
    assert!(givers.count() >= 2, "{before:#?}");

    // The downloader dies and is started again: it goes on by itself.
    downloader.kill();
    let mut downloader = place.start("me", &up);
    let client = downloader.client().await;
    let restarted = the_download(&client).await;
    let kept = restarted.have_bytes - restarted.received_bytes;
    assert!(kept >= before.have_bytes, "{kept} kept of {before:#?}");
    let downloads = until(
        "end",
        || client.downloads(),
        |all| all.iter().all(|one| one.state == DownloadState::Complete),
    )
    .await;
    let done = &downloads[0];
    assert_eq!(std::fs::read(done.path.as_ref().unwrap()).unwrap(), bytes);
    nothing_twice(done, kept);

    // Everybody stops when asked, by command or by signal.
    place.ask("me", &["stop"]).expect(0, &["stopped"]);
    assert_eq!(downloader.process.ended().code(), Some(0));
    for mut peer in sharers {
        peer.process.signal("TERM");
        assert_eq!(peer.process.line("stopped")["type"], "stopped");
        assert_eq!(peer.process.ended().code(), Some(0));
    }
    hub.process.signal("INT");
    assert_eq!(hub.process.ended().code(), Some(0));
}

/// What was verified and kept is not fetched again: what came in this run and
/// what was there before are the whole.
#[track_caller]
fn nothing_twice(done: &DownloadInfo, kept: u64) {
    assert_eq!(done.have_bytes, size());
    let fetched = done.received_bytes + kept;
    assert!(
        (size()..=size() + SLACK).contains(&fetched),
        "{kept} were kept, {} fetched: {done:#?}",
        done.received_bytes
    );
}

/// The content id as JSON writes it.
fn content(bytes: &[u8]) -> Value {
    gannet_base::ContentId::of(bytes).to_string().into()
}

/// A link works with no peer running, and again after it was stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_fetched_with_no_peer_running() {
    let place = Place::new();
    let bytes = noise(2, 3 << 20);
    let folder = place.folder("files", &[("song.bin", &bytes)]);
    let sharer = place.start("sharer", &["up", folder.to_str().unwrap()]);
    let client = sharer.client().await;
    until(
        "scan",
        || client.status(),
        |status| status.shares.files == 1 && status.shares.scanning.is_none(),
    )
    .await;
    let file = folder.join("song.bin");
    let link = place.ask("sharer", &["link", file.to_str().unwrap()]);
    link.expect(0, &["gannet:", "peer="]);
    let link = link.out.trim();

    let here = place.path("here");
    let get = [
        "get",
        link,
        "--output",
        here.to_str().unwrap(),
        "--no-local-discovery",
    ];
    let got = place.ask("nobody", &get);
    got.expect(0, &["complete", "verified", "song.bin"]);
    assert_eq!(std::fs::read(here.join("song.bin")).unwrap(), bytes);
    // A second time there is nothing to do, or a second copy under another
    // name; never an overwritten file.
    let json = [&get[..], &["--json"]].concat();
    let again = place.ask("nobody", &json);
    again.expect(0, &[]);
    for line in again.out.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["type"].is_string(), "{line}");
    }
    assert_eq!(std::fs::read(here.join("song.bin")).unwrap(), bytes);
}

/// Interrupting it keeps what came, says how to go on, and going on fetches the
/// rest only.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_link_goes_on_where_it_stopped() {
    let place = Place::new();
    let bytes = noise(3, 8 << 20);
    let folder = place.folder("files", &[("film.bin", &bytes)]);
    let sharer = place.start(
        "sharer",
        &["up", folder.to_str().unwrap(), "--limit-up", LIMIT_UP],
    );
    let client = sharer.client().await;
    until(
        "scan",
        || client.status(),
        |status| status.shares.files == 1,
    )
    .await;
    let link = place.ask(
        "sharer",
        &["link", folder.join("film.bin").to_str().unwrap()],
    );
    let data_dir = place.path("nobody");
    let data_dir = data_dir.to_str().unwrap();
    let get = [
        "get",
        link.out.trim(),
        "--json",
        "--no-local-discovery",
        "--data-dir",
        data_dir,
    ];

    let mut first = place.watch(&get);
    loop {
        let line = first.line("progress");
        if line["download"]["have_bytes"].as_u64().unwrap() > 2 << 20 {
            break;
        }
    }
    first.signal("INT");
    let end = first.line("end");
    assert_eq!(end["exit_code"], 5, "{end}");
    let kept = end["download"]["have_bytes"].as_u64().unwrap();
    assert!(first.ended().code() == Some(5) && kept < 8 << 20, "{end}");

    let again = place.run(&get);
    again.expect(0, &[]);
    let last = again.out.lines().last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    let received = last["download"]["received_bytes"].as_u64().unwrap();
    assert!(
        received + kept <= (8 << 20) + SLACK,
        "{kept} kept, then {last}"
    );
    assert_eq!(std::fs::read(place.path("film.bin")).unwrap(), bytes);
}

/// A hub, a peer that shares two files, and one that looks for them.
async fn small_network(place: &Place) -> [Peer; 3] {
    let hub = place.start("hub", &["hub"]);
    let folder = place.folder("files", &[("harry.txt", b"one"), ("potter.txt", b"two")]);
    let address = hub.address();
    let sharer = place.start(
        "sharer",
        &["up", folder.to_str().unwrap(), "--hub", &address],
    );
    let me = place.start("me", &["up", "--hub", &address]);
    registered(&sharer.client().await, 2).await;
    joined(&me.client().await).await;
    [hub, sharer, me]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_asked_about_peers_and_files() {
    let place = Place::new();
    let [_hub, sharer, me] = small_network(&place).await;
    let peer = sharer.address.peer.to_string();
    let said = place.ask("me", &["status"]);
    said.expect(0, &[&me.address(), "connected", "shares"]);
    let status = place.ask("sharer", &["status", "--json"]).json();
    assert_eq!(status["peer"], peer.as_str());
    place
        .ask("hub", &["status"])
        .expect(0, &["is one: ", "2 files"]);
    place.ask("me", &["peers"]).expect(0, &["hub", "127.0.0.1"]);
    place.ask("me", &["uploads"]).expect(0, &["nobody"]);
    place.ask("me", &["downloads"]).expect(0, &["no downloads"]);
    place
        .ask("sharer", &["share", "list"])
        .expect(0, &["files", "2"]);

    let watched = place.ask("me", &["search", "harry", "--watch"]);
    watched.expect(0, &["harry.txt", "1 row"]);
    let found = place.ask("me", &["search", "harry"]);
    found.expect(0, &["harry.txt", "3 B", "document"]);
    // The beginning of an id that a search has shown is enough.
    let browsed = place.ask("me", &["browse", &peer[..10]]);
    browsed.expect(0, &["harry.txt", "potter.txt", "2 files"]);
    let browse = ["browse", &sharer.address(), "--json", "--limit", "1"];
    let browsed = place.ask("me", &browse).json();
    assert_eq!(browsed["total"], 2, "{browsed}");
    assert_eq!(
        browsed["entries"].as_array().map(Vec::len),
        Some(1),
        "{browsed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_done_with_files() {
    let place = Place::new();
    let [_hub, _sharer, me] = small_network(&place).await;
    place
        .ask("me", &["search", "harry"])
        .expect(0, &["harry.txt"]);
    place
        .ask("me", &["get", "1"])
        .expect(0, &["complete", "harry.txt"]);
    place
        .ask("me", &["downloads"])
        .expect(0, &["complete", "100 %"]);
    let downloads = place.ask("me", &["downloads", "--json"]).json();
    assert_eq!(downloads[0]["state"], "complete", "{downloads}");

    let other = place.folder("other", &[("new.txt", b"new")]);
    let other = other.to_str().unwrap();
    place
        .ask("me", &["share", "add", other])
        .expect(0, &["sharing"]);
    let client = me.client().await;
    until(
        "share",
        || client.shares(),
        |shares| {
            shares
                .iter()
                .any(|share| share.files == 1 && share.path.ends_with("other"))
        },
    )
    .await;
    place
        .ask("me", &["share", "remove", other])
        .expect(0, &["no longer"]);
    place.ask("me", &["stop", "--json"]).expect(0, &["true"]);
    place
        .ask("me", &["status"])
        .expect(3, &["gannet up FOLDER"]);
}
