//! Living with it: what is in the way, documents, and a peer in good health.

use std::net::UdpSocket;

use crate::harness::Place;

/// What `doctor` says of one thing.
fn verdict(report: &serde_json::Value, what: &str) -> String {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|one| one["what"] == what);
    let found = found.unwrap_or_else(|| panic!("nothing about {what}: {report}"));
    found["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn the_doctor_names_what_is_in_the_way() {
    let place = Place::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = udp.local_addr().unwrap().to_string();
    let data = place.path("data");
    let data = data.to_str().unwrap();
    let look = ["doctor", "--data-dir", data, "--listen", &taken];
    let said = place.run(&look);
    said.expect(1, &["UDP port", &taken, "--listen", "1 thing in the way"]);
    let mut look = look.to_vec();
    look.push("--json");
    let report = place.run(&look).json();
    assert_eq!(report["healthy"], false, "{report}");
    assert_eq!(verdict(&report, "UDP port"), "bad");
    assert_eq!(verdict(&report, "disk for downloads"), "good");
    let wrong = place.path("wrong.toml");
    std::fs::write(&wrong, "no_such_key = 1").unwrap();
    let look = ["doctor", "--config", wrong.to_str().unwrap()];
    let said = place.run(&look);
    said.expect(1, &["configuration", "no_such_key", "gannet config"]);
}

#[test]
fn the_doctor_asks_the_peer_that_runs() {
    let place = Place::new();
    let hub = place.start("hub", &["hub"]);
    let address = hub.address();
    let peer = place.start("peer", &["up", "--hub", &address]);
    let data = place.path("peer");
    let look = ["doctor", "--data-dir", data.to_str().unwrap(), "--json"];
    crate::harness::wait_for("a peer in good health", || {
        let report = place.run(&look).json();
        report["healthy"] == true && verdict(&report, "running peer") == "good"
    });
    drop(hub);
    crate::harness::wait_for("news of the hub", || {
        verdict(&place.run(&look).json(), "hub") == "bad"
    });
    drop(peer);
}

#[test]
fn documents_are_made_from_the_program() {
    let place = Place::new();
    let manual = place.path("manual");
    let said = place.run(&["man", manual.to_str().unwrap()]);
    said.expect(0, &["gannet-up.1", "gannet-search.1", "gannet-doctor.1"]);
    let page = std::fs::read_to_string(manual.join("gannet-up.1")).unwrap();
    assert!(page.contains("limit\\-up"), "{page}");
    place.run(&["man"]).expect(0, &[".TH gannet"]);
    let file = place.run(&["config"]);
    file.expect(0, &["#limit_up = \"unlimited\"", "[supernode]"]);
}
