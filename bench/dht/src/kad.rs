//! The crate `libp2p-kad`: putting a record and getting it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{
    Behaviour, Event, GetRecordOk, Mode, QueryId, QueryResult, Quorum, Record, RecordKey,
};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};

use crate::Trip;

/// About as much as a signed publication of ours.
const RECORD_BYTES: usize = 250;

enum Order {
    Put(Record, oneshot::Sender<Result<()>>),
    Get(RecordKey, oneshot::Sender<Result<()>>),
}

/// Puts and gets, each time by other peers. A put takes until every replica has
/// said that it has the record, a get until the first answer with the record.
pub fn trips(peers: usize, trips: usize) -> Result<Vec<Trip>> {
    tokio::runtime::Runtime::new()?.block_on(run(peers, trips))
}

async fn run(peers: usize, trips: usize) -> Result<Vec<Trip>> {
    let mut swarms = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..peers {
        let (swarm, address) = start().await?;
        addresses.push((*swarm.local_peer_id(), address));
        swarms.push(swarm);
    }
    let nodes: Vec<mpsc::Sender<Order>> = swarms
        .into_iter()
        .map(|swarm| spawn(swarm, &addresses))
        .collect();
    let mut found = Vec::new();
    // The first trips open the connections.
    let warm = trips.min(peers);
    for n in 0..warm + trips {
        let (publisher, asker) = (&nodes[n * 37 % peers], &nodes[(n * 23 + 7) % peers]);
        let key = RecordKey::new(&format!("content {n}"));
        let record = Record::new(key.clone(), vec![7; RECORD_BYTES]);
        let from = Instant::now();
        ask(publisher, |reply| Order::Put(record, reply)).await?;
        let put = from.elapsed();
        let from = Instant::now();
        ask(asker, |reply| Order::Get(key, reply)).await?;
        let get = from.elapsed();
        if n >= warm {
            found.push(Trip { put, get });
        }
    }
    Ok(found)
}

async fn ask(
    node: &mpsc::Sender<Order>,
    order: impl FnOnce(oneshot::Sender<Result<()>>) -> Order,
) -> Result<()> {
    let (reply, answer) = oneshot::channel();
    ensure!(node.send(order(reply)).await.is_ok(), "a node has ended");
    answer.await.context("a node does not answer")?
}

/// One peer that listens.
async fn start() -> Result<(Swarm<Behaviour<MemoryStore>>, Multiaddr)> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let id = key.public().to_peer_id();
            Behaviour::new(id, MemoryStore::new(id))
        })?
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(std::time::Duration::from_secs(3_600))
        })
        .build();
    swarm.behaviour_mut().set_mode(Some(Mode::Server));
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((swarm, address));
        }
    }
}

/// Runs a peer that is told of all the others.
fn spawn(
    mut swarm: Swarm<Behaviour<MemoryStore>>,
    others: &[(PeerId, Multiaddr)],
) -> mpsc::Sender<Order> {
    let own = *swarm.local_peer_id();
    for (peer, address) in others.iter().filter(|(peer, _)| *peer != own) {
        swarm.behaviour_mut().add_address(peer, address.clone());
    }
    let (orders, mut queue) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut open: Option<(QueryId, oneshot::Sender<Result<()>>)> = None;
        loop {
            tokio::select! {
                order = queue.recv() => match order {
                    Some(Order::Put(record, reply)) => {
                        match swarm.behaviour_mut().put_record(record, Quorum::All) {
                            Ok(query) => open = Some((query, reply)),
                            Err(error) => { let _ = reply.send(Err(error.into())); }
                        }
                    }
                    Some(Order::Get(key, reply)) => {
                        open = Some((swarm.behaviour_mut().get_record(key), reply));
                    }
                    None => return,
                },
                event = swarm.select_next_some() => {
                    if let SwarmEvent::Behaviour(Event::OutboundQueryProgressed { id, result, .. }) = event
                        && open.as_ref().is_some_and(|(query, _)| *query == id)
                        && let Some(outcome) = outcome(result)
                        && let Some((_, reply)) = open.take()
                    {
                        let _ = reply.send(outcome);
                    }
                }
            }
        }
    });
    orders
}

/// What a query came to, once that is known.
fn outcome(result: QueryResult) -> Option<Result<()>> {
    match result {
        QueryResult::PutRecord(put) => Some(put.map(|_| ()).map_err(Into::into)),
        QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
            let is_whole = found.record.value.len() == RECORD_BYTES;
            Some(is_whole.then_some(()).context("another record came"))
        }
        QueryResult::GetRecord(Err(error)) => Some(Err(error.into())),
        _ => None,
    }
}
