//! Several lanes for one transfer.

use std::sync::{Arc, OnceLock};

use super::bulk::pattern;
use super::roads::{MIB, by, cable, fetch, receive, send, tcp_address, transfer};
use super::*;
use crate::{BulkRoad, StreamError, TransferStream};

/// Asks for one more lane, and talks until it is used.
async fn widen(ours: &mut TransferStream, theirs: &mut TransferStream) {
    let lanes = ours.sender.lanes() + 1;
    ours.sender.widen_now();
    while ours.sender.lanes() < lanes {
        soon(ours.sender.send_frame(b"here")).await.unwrap();
        let said = soon(theirs.receiver.frame(8)).await.unwrap().unwrap();
        assert_eq!(said, "here");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_has_up_to_four_lanes_and_its_bytes_stay_in_order() {
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), by(BulkRoad::Tcp, 2)).await;
    let (mut ours, mut theirs) = transfer(&a, &mut b).await;
    let mut wanted = Vec::new();
    for lanes in 1..=4 {
        for bytes in [1, 100, 65_535, 65_536, 65_537, 3 * MIB + 5] {
            soon(ours.sender.send_frame(&pattern(bytes / 9)))
                .await
                .unwrap();
            let frame = soon(theirs.receiver.frame(MIB)).await.unwrap().unwrap();
            assert_eq!(frame, pattern(bytes / 9));
            let sender = &mut theirs.sender;
            wanted.clear();
            let (sent, read) = tokio::join!(
                soon(sender.send_frame_and_bytes(b"here", pattern(bytes))),
                soon(async {
                    let header = ours.receiver.frame(9).await;
                    ours.receiver.bytes(bytes, &mut wanted).await?;
                    header
                }),
            );
            assert_eq!(sent, Ok(()));
            assert_eq!(read.unwrap().unwrap(), "here");
            assert!(wanted == pattern(bytes), "{bytes} with {lanes} lanes");
        }
        if lanes < 4 {
            widen(&mut ours, &mut theirs).await;
        }
    }
    let requested = b.net.counters().lane_bytes_received;
    // Another is not to be had, and nobody is blamed for that.
    ours.sender.widen_now();
    fetch(ours, theirs, 8).await;
    assert!(b.net.counters().lane_bytes_received > requested);
    assert_eq!((a.net.counters().lanes, b.net.counters().lanes), (4, 4));
    assert_eq!(a.net.counters().lanes_failed, 0);
    a.until(|net| net.lanes() == 0).await;
    b.until(|net| net.lanes() == 0).await;
}

/// Lanes join while everything is full, and one side says nothing until the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_join_in_the_middle_of_a_stream_and_late() {
    for _ in 0..5 {
        let (a, mut b) = pair(by(BulkRoad::Tcp, 1), by(BulkRoad::Tcp, 2)).await;
        let (mut ours, mut theirs) = transfer(&a, &mut b).await;
        let reading = tokio::spawn(async move {
            let (wanted, mut block, mut blocks) = (pattern(MIB), Vec::new(), 0_usize);
            while let Some(number) = theirs.receiver.frame(8).await? {
                assert_eq!(number, blocks.to_le_bytes().as_slice());
                block.clear();
                theirs.receiver.bytes(MIB, &mut block).await?;
                assert!(block == wanted, "block {blocks} differs");
                blocks += 1;
            }
            theirs.sender.send_frame(b"all of it").await?;
            theirs.sender.finish();
            theirs.sender.delivered().await
        });
        let mut asked = 1;
        for n in 0_usize.. {
            if asked == ours.sender.lanes() && asked < 4 && n > 5 {
                ours.sender.widen_now();
                asked += 1;
            }
            soon(ours.sender.send_frame(&n.to_le_bytes()))
                .await
                .unwrap();
            soon(ours.sender.send_bytes(pattern(MIB))).await.unwrap();
            if ours.sender.lanes() == 4 {
                break;
            }
        }
        ours.sender.finish();
        let answer = soon(ours.receiver.frame(9)).await.unwrap().unwrap();
        assert_eq!(answer, "all of it");
        assert_eq!(soon(ours.sender.delivered()).await, Ok(()));
        assert_eq!(soon(ours.receiver.frame(9)).await, Ok(None));
        assert_eq!(soon(reading).await.unwrap(), Ok(()));
        drop(ours);
        a.until(|net| net.lanes() == 0).await;
        b.until(|net| net.lanes() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_ends_a_transfer_of_several_lanes() {
    let to = Arc::new(OnceLock::new());
    let (port, passing) = cable(to.clone()).await;
    let mut behind = by(BulkRoad::Tcp, 2);
    behind.tcp_port = Some(port);
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), behind).await;
    to.set(tcp_address(&b)).unwrap();
    let (mut ours, mut theirs) = transfer(&a, &mut b).await;
    soon(ours.sender.send_frame(b"here")).await.unwrap();
    soon(theirs.receiver.frame(8)).await.unwrap();
    for _ in 0..2 {
        widen(&mut ours, &mut theirs).await;
    }
    let sending = tokio::spawn(async move { send(&mut theirs.sender, 64).await });
    soon(receive(&mut ours.receiver, 0..3)).await.unwrap();
    passing.abort();
    let error = soon(receive(&mut ours.receiver, 3..64)).await;
    assert_eq!(error, Err(StreamError::Lost));
    assert!(soon(sending).await.unwrap().is_err());
    drop((ours, theirs.receiver));
    a.until(|net| net.lanes() == 0).await;
    b.until(|net| net.lanes() == 0).await;
}

/// Names that were never given out, marks where they make no sense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_that_are_not_there_are_not_joined() {
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), by(BulkRoad::Tcp, 2)).await;
    let join = crate::wire::MARK_JOIN.to_le_bytes();
    let turn = crate::wire::MARK_MOVE.to_le_bytes();
    for (mark, error) in [
        (&[&join[..], &[7; 16]].concat(), StreamError::Lost),
        (&[&turn[..], &[7; 16]].concat(), StreamError::Truncated),
    ] {
        let (mut ours, mut theirs) = transfer(&a, &mut b).await;
        soon(ours.sender.send_frame(b"here")).await.unwrap();
        soon(theirs.receiver.frame(8)).await.unwrap();
        soon(ours.sender.send_raw(mark)).await;
        assert_eq!(soon(theirs.receiver.frame(8)).await, Err(error));
        drop((ours, theirs));
    }
    a.until(|net| net.lanes() == 0).await;
    b.until(|net| net.lanes() == 0).await;
    let (ours, theirs) = transfer(&a, &mut b).await;
    fetch(ours, theirs, 2).await;
}
