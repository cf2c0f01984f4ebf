//! Much data, slow readers, questions and answers.

use bytes::Bytes;
use gannet_base::wire::FRAME_BYTES_MAX;

use super::*;
use crate::{RequestError, RequestKind, SendError, StreamError, TransferStream};

pub(super) async fn expect_transfer(peer: &mut Peer) -> TransferStream {
    match peer.next().await {
        NetEvent::Transfer { stream, .. } => stream,
        other => panic!("expected a transfer, found {other:?}"),
    }
}

/// Bytes that differ everywhere.
pub(super) fn pattern(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_derive_key("gannet-net test pattern")
        .finalize_xof()
        .fill(&mut bytes);
    Bytes::from(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_fills_its_queue_and_disturbs_nobody() {
    let (mut a, wedged) = pair(config(1), with_limits(2, |limits| limits.events_max = 1)).await;
    let mut c = Peer::plain(3).await;
    a.dial(&c);
    a.expect_up(c.id()).await;
    c.expect_up(a.id()).await;

    let body = pattern(FRAME_BYTES_MAX);
    let queued = || {
        let connections = a.net.connections();
        let info = connections.iter().find(|info| info.peer == wedged.id());
        info.unwrap().queued_bytes
    };
    let most = Limits::default().queue_bytes_max;
    soon(async {
        // What the windows and the queue hold goes; then it is full and stays.
        let mut refusals = 0;
        while refusals < 1_000 || queued() <= most / 2 {
            match a.net.send(wedged.id(), Channel::Flood, body.clone()) {
                Ok(()) => refusals = 0,
                Err(error) => {
                    assert_eq!(error, SendError::Full);
                    refusals += 1;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(queued() <= most);
    assert!(a.net.counters().messages_dropped >= 1_000);

    for _ in 0..20 {
        a.talk(&mut c).await;
    }
    assert!(
        a.net.is_connected(wedged.id()),
        "full is not a reason to leave"
    );
    // Once it reads, everything that was queued arrives.
    let mut wedged = wedged;
    let dropped = a.net.counters().messages_dropped;
    soon(async {
        while a.net.connections().iter().any(|i| i.queued_bytes > 0) {
            let NetEvent::Message { body: read, .. } = wedged.next().await else {
                panic!("expected a message");
            };
            assert_eq!(read, body);
        }
    })
    .await;
    assert_eq!(a.net.counters().messages_dropped, dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_moves_64_mib_intact() {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: usize = 64;
    let (a, mut b) = pair(config(1), config(2)).await;
    let data = pattern(BLOCK * BLOCKS);
    let hash = blake3::hash(&data);
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    let sending = tokio::spawn(async move {
        for block in 0..BLOCKS {
            let header = u64::try_from(block).unwrap().to_le_bytes();
            ours.sender.send_frame(&header).await.unwrap();
            let bytes = data.slice(block * BLOCK..(block + 1) * BLOCK);
            ours.sender.send_bytes(bytes).await.unwrap();
        }
        ours.sender.finish();
        ours.sender.delivered().await.unwrap();
        ours.receiver.frame(64).await.unwrap()
    });
    let mut theirs = expect_transfer(&mut b).await;
    let mut hasher = blake3::Hasher::new();
    let mut block = Vec::with_capacity(BLOCK);
    for n in 0..u64::try_from(BLOCKS).unwrap() {
        let header = soon(theirs.receiver.frame(8)).await.unwrap().unwrap();
        assert_eq!(&header[..], n.to_le_bytes());
        block.clear();
        soon(theirs.receiver.bytes(BLOCK, &mut block))
            .await
            .unwrap();
        hasher.update(&block);
    }
    assert_eq!(soon(theirs.receiver.frame(8)).await, Ok(None));
    assert_eq!(hasher.finalize(), hash);
    theirs.sender.send_frame(b"thanks").await.unwrap();
    let thanks = soon(sending).await.unwrap();
    assert_eq!(thanks, Some(Bytes::from_static(b"thanks")));
    assert_eq!(
        (a.net.counters().transfers, b.net.counters().transfers),
        (1, 1)
    );
}

#[tokio::test]
async fn reading_may_be_interrupted_and_go_on() {
    let (a, mut b) = pair(config(1), config(2)).await;
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    let mut theirs = expect_transfer(&mut b).await;
    let frames: Vec<Bytes> = (0..40).map(|n| pattern(n * 997)).collect();
    let sent = frames.clone();
    let sending = tokio::spawn(async move {
        for frame in &sent {
            ours.sender.send_frame(frame).await.unwrap();
        }
        let bytes = pattern(300_000);
        for piece in bytes.chunks(10_000) {
            ours.sender
                .send_bytes(Bytes::copy_from_slice(piece))
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
        ours
    });
    let mut interrupted = 0;
    let mut read = Vec::new();
    soon(async {
        while read.len() < frames.len() {
            tokio::select! {
                biased;
                frame = theirs.receiver.frame(1 << 20) => read.push(frame.unwrap().unwrap()),
                () = tokio::task::yield_now() => interrupted += 1,
            }
        }
    })
    .await;
    assert_eq!(read, frames);
    let mut out = Vec::new();
    soon(async {
        while out.len() < 300_000 {
            tokio::select! {
                biased;
                done = theirs.receiver.bytes(300_000 - out.len(), &mut out) => done.unwrap(),
                () = tokio::task::yield_now() => interrupted += 1,
            }
        }
    })
    .await;
    assert_eq!(out, pattern(300_000));
    assert!(interrupted > 0, "nothing was interrupted");
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn streams_that_end_badly_say_how() {
    let (a, mut b) = pair(config(1), config(2)).await;
    // The reader goes away.
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    drop(expect_transfer(&mut b).await);
    let block = pattern(1 << 20);
    let error = soon(async {
        loop {
            if let Err(error) = ours.sender.send_bytes(block.clone()).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error, StreamError::Stopped);
    assert_eq!(
        soon(ours.receiver.frame(9)).await,
        Ok(None),
        "it finished its half"
    );

    // The writer gives up; ends inside a frame; sends a frame that is too long.
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    let mut theirs = expect_transfer(&mut b).await;
    ours.sender.reset();
    assert_eq!(
        soon(theirs.receiver.frame(9)).await,
        Err(StreamError::Stopped)
    );
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    let mut theirs = expect_transfer(&mut b).await;
    ours.sender
        .send_bytes(Bytes::from_static(&[5, 0, 0, 0, 1]))
        .await
        .unwrap();
    ours.sender.finish();
    assert_eq!(
        soon(theirs.receiver.frame(9)).await,
        Err(StreamError::Truncated)
    );
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    let mut theirs = expect_transfer(&mut b).await;
    ours.sender.send_frame(&[0; 10]).await.unwrap();
    let too_long = StreamError::TooLong {
        bytes: 10,
        bytes_max: 9,
    };
    assert_eq!(soon(theirs.receiver.frame(9)).await, Err(too_long));

    // The connection ends.
    let mut ours = a.net.open_transfer(b.id()).await.unwrap();
    let mut theirs = expect_transfer(&mut b).await;
    a.net.disconnect(b.id());
    assert_eq!(soon(theirs.receiver.frame(9)).await, Err(StreamError::Lost));
    assert_eq!(soon(ours.receiver.frame(9)).await, Err(StreamError::Lost));
    assert_eq!(ours.sender.send_frame(b"x").await, Err(StreamError::Lost));
    assert!(matches!(
        a.net.open_transfer(b.id()).await,
        Err(crate::OpenError::NotConnected | crate::OpenError::Lost)
    ));
}

#[tokio::test]
async fn a_question_gets_its_answer_in_frames() {
    let (a, mut b) = pair(config(1), config(2)).await;
    let net = a.net.clone();
    let to = b.id();
    let asking = tokio::spawn(async move {
        let answers = net.request(to, RequestKind::BROWSE, b"page 1").await?;
        answers.collect().await
    });
    let NetEvent::Request {
        peer,
        kind,
        body,
        mut reply,
    } = b.next().await
    else {
        panic!("expected a request");
    };
    assert_eq!((peer, kind), (a.id(), RequestKind::BROWSE));
    assert_eq!(&body[..], b"page 1");
    let frames = [pattern(FRAME_BYTES_MAX), Bytes::new(), pattern(3)];
    for frame in &frames {
        soon(reply.send(frame)).await.unwrap();
    }
    let long = pattern(FRAME_BYTES_MAX + 1);
    assert!(matches!(
        reply.send(&long).await,
        Err(StreamError::TooLong { .. })
    ));
    reply.finish();
    assert_eq!(soon(asking).await.unwrap(), Ok(frames.to_vec()));
}

#[tokio::test]
async fn questions_without_an_answer_end_in_time() {
    let impatient = |seed| {
        with_limits(seed, |limits| {
            limits.request_timeout = Duration::from_millis(300);
            limits.reply_frames_max = 3;
        })
    };
    let (a, mut b) = pair(impatient(1), config(2)).await;
    let to = b.id();
    let ask = |kind| {
        let net = a.net.clone();
        tokio::spawn(async move { net.request(to, kind, b"?").await?.collect().await })
    };
    let asking = ask(RequestKind(200));
    let NetEvent::Request { reply, .. } = b.next().await else {
        panic!("expected a request");
    };
    reply.refuse();
    assert_eq!(soon(asking).await.unwrap(), Err(RequestError::Refused));

    let asking = ask(RequestKind::BROWSE);
    let NetEvent::Request { reply: silent, .. } = b.next().await else {
        panic!("expected a request");
    };
    assert_eq!(soon(asking).await.unwrap(), Err(RequestError::TimedOut));
    drop(silent);

    let asking = ask(RequestKind::BROWSE);
    let NetEvent::Request { mut reply, .. } = b.next().await else {
        panic!("expected a request");
    };
    for _ in 0..4 {
        reply.send(b"more").await.unwrap();
    }
    reply.finish();
    assert_eq!(soon(asking).await.unwrap(), Err(RequestError::Excess));

    let long = pattern(FRAME_BYTES_MAX + 1);
    let refused = a.net.request(b.id(), RequestKind::BROWSE, &long).await;
    assert_eq!(
        refused.err(),
        Some(RequestError::TooLong { bytes: long.len() })
    );
}

#[tokio::test]
async fn a_peer_opens_no_more_streams_than_it_may() {
    let (mut a, mut b) = pair(
        with_limits(1, |limits| {
            limits.request_timeout = Duration::from_millis(300);
        }),
        with_limits(2, |limits| limits.streams_max = 5),
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(soon(a.net.open_transfer(b.id())).await.unwrap());
        open.push(expect_transfer(&mut b).await);
    }
    assert!(matches!(
        soon(a.net.open_transfer(b.id())).await,
        Err(crate::OpenError::TimedOut)
    ));
    // Messages need none of them.
    a.talk(&mut b).await;
    open.clear();
    soon(async { while a.net.open_transfer(b.id()).await.is_err() {} }).await;
}
