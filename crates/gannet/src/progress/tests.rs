use gannet_base::{ContentId, PeerId};
use gannet_node::api::{DownloadInfo, DownloadSource, DownloadState};

use super::*;

/// A running download of 100 bytes with two sources.
pub(crate) fn download(number: u32, name: &str) -> DownloadInfo {
    let source = |byte, state: &str| DownloadSource {
        peer: PeerId::from_bytes([byte; 32]),
        state: state.to_owned(),
        queue_position: None,
        bytes_per_second: 0,
        bytes: 0,
        reason: None,
    };
    DownloadInfo {
        number,
        content: ContentId::of(name.as_bytes()),
        name: name.to_owned(),
        size: Some(100),
        files: None,
        have_bytes: 0,
        received_bytes: 0,
        pieces: "0".repeat(64),
        priority: 0,
        state: DownloadState::Active,
        reason: None,
        bytes_per_second: 0,
        seconds_left: None,
        sources: vec![source(1, "sending"), source(2, "dialing")],
        path: None,
        elapsed_ms: 0,
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn sources_say_what_they_do() {
    let mut source = download(1, "a").sources.remove(0);
    source.bytes_per_second = 12_100_000;
    source.bytes = 31_200_000;
    assert_eq!(
        plain(&source_line("bob", &source)),
        "bob         sending      12.1 MB/s    31.2 MB"
    );
    source.queue_position = Some(3);
    source.bytes = 0;
    source.state = "queued\u{1b}c".to_owned();
    source.reason = Some("busy\u{202e}".to_owned());
    assert_eq!(
        plain(&source_line("bob", &source)),
        "bob         place 3 in its queue  busy\\u{202e}"
    );
}

#[test]
fn the_last_word_names_the_file_and_what_it_took() {
    let mut done = download(1, "a\u{1b}[2J.bin");
    done.state = DownloadState::Complete;
    done.have_bytes = 100;
    done.received_bytes = 100;
    done.elapsed_ms = 50;
    done.sources[0].bytes = 60;
    done.sources[1].bytes = 40;
    done.path = Some("/d/a.bin".into());
    assert_eq!(
        plain(&final_line(&done)),
        "complete  a\\u{1b}[2J.bin  100 B from 2 sources in 50 ms (2.0 kB/s), verified\n  /d/a.bin"
    );
    done.state = DownloadState::Failed;
    done.reason = Some("the disk said no".to_owned());
    done.have_bytes = 7;
    assert_eq!(
        plain(&final_line(&done)),
        "failed  a\\u{1b}[2J.bin: the disk said no  7 B so far"
    );
}

#[test]
fn bars_may_grow_and_shrink() {
    let mut bars = Bars::default();
    let mut one = download(1, "a");
    bars.update(&one);
    one.sources.extend(download(2, "b").sources);
    bars.update(&one);
    one.sources.clear();
    bars.update(&one);
    bars.update(&download(2, "b"));
    bars.clear();
}
