//! What users and machines get wrong: each is told in plain words, with the
//! right exit code, and nothing is lost.

use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;

use gannet_base::{ContentId, PeerId};

use crate::harness::{Place, files_below, joined, until};

/// The flags that keep a peer to this machine.
const LOCAL: [&str; 3] = ["--listen", "127.0.0.1:0", "--no-local-discovery"];

/// `gannet up` with these arguments, which does not get far.
#[track_caller]
fn up_fails(place: &Place, data_dir: &str, arguments: &[&str], code: i32, words: &[&str]) {
    let data_dir = place.path(data_dir);
    let mut all = vec!["up", "--data-dir", data_dir.to_str().unwrap()];
    if !arguments.contains(&"--listen") {
        all.extend(LOCAL);
    }
    all.extend(arguments);
    place.run(&all).expect(code, words);
}

#[test]
fn a_folder_that_cannot_be_shared() {
    let place = Place::new();
    let missing = place.path("missing");
    let missing = missing.to_str().unwrap();
    up_fails(&place, "a", &[missing], 1, &["cannot share", missing]);
    // A link to itself cannot be read by anybody, not even by root.
    let endless = place.path("endless");
    std::os::unix::fs::symlink(&endless, &endless).unwrap();
    let endless = endless.to_str().unwrap();
    up_fails(&place, "a", &[endless], 1, &["cannot share", endless]);
    // Everything there is is more than anybody means.
    up_fails(&place, "a", &["/"], 1, &["cannot share /"]);
}

#[test]
fn a_port_that_is_taken() {
    let place = Place::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = udp.local_addr().unwrap().to_string();
    let flags = ["--listen", taken.as_str(), "--no-local-discovery"];
    up_fails(&place, "a", &flags, 1, &[&taken, "in use", "--listen"]);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = tcp.local_addr().unwrap().to_string();
    let flags = ["--api-listen", taken.as_str()];
    up_fails(&place, "a", &flags, 1, &[&taken, "in use", "--api-listen"]);
    let flags = ["--api-listen", "0.0.0.0:0"];
    up_fails(&place, "a", &flags, 1, &["unencrypted"]);
}

#[test]
fn settings_that_are_none() {
    let place = Place::new();
    let secret = place.path("no secret");
    let secret = secret.to_str().unwrap();
    let config = place
        .folder("config", &[("c.toml", b"netwrok = 'x'")])
        .join("c.toml");
    let config = config.to_str().unwrap();
    let cases: [([&str; 2], i32, [&str; 2]); 6] = [
        (["--secret-file", secret], 1, ["network secret", secret]),
        (["--limit-up", "fast"], 2, ["not a rate", "500K"]),
        (["--hub", "somebody"], 2, ["somebody", "peer id"]),
        (["--upload-slots", "0"], 2, ["upload_slots", "100"]),
        (["--config", config], 2, ["netwrok", "line 1"]),
        (["--log", "gannet_node=loud"], 2, ["log filter", "debug"]),
    ];
    for (flags, code, words) in cases {
        up_fails(&place, "a", &flags, code, &words);
    }
}

#[test]
fn a_data_directory_has_one_peer_and_one_format() {
    let place = Place::new();
    let first = place.start("data", &["up"]);
    up_fails(&place, "data", &[], 1, &["another Gannet", "--data-dir"]);
    place
        .ask("data", &["status"])
        .expect(0, &[&first.address()]);
    place.ask("data", &["stop"]).expect(0, &["stopped"]);
    drop(first);

    let stamp = place.path("data").join("version");
    let text = std::fs::read_to_string(&stamp).unwrap();
    let number = text
        .trim_end()
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap();
    assert!(!number.is_empty(), "{text}");
    std::fs::write(&stamp, text.replace(number, "4000000")).unwrap();
    let before = files_below(&place.path("data"));
    up_fails(&place, "data", &[], 1, &["newer", "4000000"]);
    assert_eq!(
        files_below(&place.path("data")),
        before,
        "nothing is touched"
    );
}

#[test]
fn without_a_peer_every_command_says_how_to_start_one() {
    let place = Place::new();
    let commands: [&[&str]; 10] = [
        &["status"],
        &["search", "harry"],
        &["get", "1"],
        &["share", "list"],
        &["downloads"],
        &["uploads"],
        &["peers"],
        &["browse", "abcdef"],
        &["link", "a"],
        &["stop"],
    ];
    for command in commands {
        place
            .ask("nobody", command)
            .expect(3, &["no peer is running", "gannet up FOLDER"]);
    }
    assert!(!place.path("nobody").exists(), "asking creates nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_make_no_sense() {
    let place = Place::new();
    let _peer = place.start("me", &["up"]);
    place.ask("me", &["search", "-potter"]).expect(2, &["word"]);
    place.ask("me", &["search", ""]).expect(2, &["word"]);
    let long = "x".repeat(300);
    place.ask("me", &["search", &long]).expect(2, &["256"]);
    place.ask("me", &["get", "1"]).expect(1, &["gannet search"]);
    place
        .ask("me", &["get", "magnet:?xt=1"])
        .expect(2, &["gannet:", "gannet link FILE"]);
    place
        .ask("me", &["get", "gannet:1234"])
        .expect(2, &["64 hexadecimal digits"]);
    place
        .ask("me", &["downloads", "pause", "7"])
        .expect(1, &["no download 7"]);
    place
        .ask("me", &["browse", "me"])
        .expect(2, &["names no peer"]);
    place
        .ask("me", &["browse", "abcdef"])
        .expect(4, &["gannet peers"]);
    let nobody = PeerId::from_bytes([7; 32]).to_string();
    place
        .ask("me", &["browse", &nobody])
        .expect(1, &["cannot reach"]);
    let missing = place.path("missing");
    let missing = missing.to_str().unwrap();
    place
        .ask("me", &["share", "add", missing])
        .expect(1, &["cannot share", missing]);
    place
        .ask("me", &["share", "remove", missing])
        .expect(1, &["not a shared folder"]);
    place
        .ask("me", &["link", missing])
        .expect(1, &["cannot read", missing]);
    place
        .ask("me", &["get", "1", "--output", "x"])
        .expect(2, &["--output"]);
    // No hub is named: nobody can be asked, which is not "nobody has it".
    place
        .ask("me", &["search", "harry"])
        .expect(5, &["could not ask", "--hub"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_told_with_whom_was_asked() {
    let place = Place::new();
    let hub = place.start("hub", &["hub"]);
    let me = place.start("me", &["up", "--hub", &hub.address()]);
    let client = me.client().await;
    joined(&client).await;
    place
        .ask("me", &["search", "harry"])
        .expect(4, &["nobody has it", "1 hub"]);
    let unknown = format!("gannet:{}", ContentId::of(b"nobody has this"));
    let get = ["get", &unknown, "--timeout", "2"];
    place
        .ask("me", &get)
        .expect(4, &["nobody", "hub", "gannet downloads"]);
    // With no peer running it asks the hub that is named, and says so.
    let hub_address = hub.address();
    let alone = [&get[..], &["--hub", &hub_address, "--no-local-discovery"]].concat();
    place
        .ask("alone", &alone)
        .expect(4, &["nobody", "hub", "run the same command again"]);
}

#[test]
fn a_link_whose_peer_is_gone_is_not_complete() {
    let place = Place::new();
    let gone = place.start("gone", &["up"]);
    let link = format!("gannet:{}?peer={}", ContentId::of(b"x"), gone.address());
    gone.kill();
    let get = ["get", &link, "--timeout", "3", "--no-local-discovery"];
    let words = ["0 B so far", "run the same command again"];
    place.ask("alone", &get).expect(5, &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_cannot_be_reached_is_no_answer() {
    let place = Place::new();
    let hub = place.start("hub", &["hub"]);
    let address = hub.address();
    hub.kill();
    let me = place.start("me", &["up", "--hub", &address]);
    place
        .ask("me", &["search", "harry"])
        .expect(5, &["could not ask"]);
    let client = me.client().await;
    let status = until(
        "problem",
        || client.status(),
        |status| {
            status
                .problems
                .iter()
                .any(|problem| problem.contains("no hub is connected"))
        },
    )
    .await;
    assert!(!status.hubs[0].connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_named() {
    let place = Place::new();
    let secrets = place.folder("secrets", &[("right", b"right"), ("wrong", b"wrong")]);
    let [right, wrong] = ["right", "wrong"].map(|name| secrets.join(name).display().to_string());
    let hub = place.start("hub", &["hub", "--secret-file", &right]);
    let hub_address = hub.address();
    let friend = place.start(
        "friend",
        &["up", "--hub", &hub_address, "--secret-file", &right],
    );
    let client = friend.client().await;
    joined(&client).await;
    let stranger = place.start(
        "stranger",
        &["up", "--hub", &hub_address, "--secret-file", &wrong],
    );
    let client = stranger.client().await;
    until(
        "refusal",
        || client.status(),
        |status| {
            let problem = status.hubs[0].problem.as_deref().unwrap_or_default();
            problem.contains("secret")
        },
    )
    .await;
    place.ask("stranger", &["status"]).expect(0, &["secret"]);
    place
        .ask("stranger", &["search", "harry"])
        .expect(5, &["could not ask"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    // Bash's script is longer than a pipe holds; the reader leaves at once.
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_gannet"))
        .args(["completions", "bash"])
        .env_clear()
        .env("HOME", place.path("home"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}
