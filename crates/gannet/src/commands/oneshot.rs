//! `gannet get LINK` with no peer running: a peer of this process's own, for
//! as long as the download takes.

use std::path::PathBuf;

use gannet_node::{Node, NodeConfig, Overrides, RoleWish};

use crate::cli::GetArgs;
use crate::commands::get::{self, Wanted};
use crate::commands::share::absolute;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Printer, note};
use crate::remote::Running;

/// Downloads links and ends. What came is kept in the data directory, so that
/// the same command goes on where it was stopped.
pub(crate) async fn run(args: &GetArgs, wanted: Vec<Wanted>, out: &mut Printer) -> Outcome {
    if let Some(Wanted::Row(number)) = wanted.iter().find(|w| matches!(w, Wanted::Row(_))) {
        return Err(Failure::new(
            Exit::NoPeer,
            format_args!("no peer is running, so there is no search to take row {number} from"),
        )
        .next("start one with `gannet up FOLDER` and search, or give a link"));
    }
    if args.detach {
        return Err(Failure::new(
            Exit::NoPeer,
            "no peer is running that the download could be left to",
        )
        .next("start one with `gannet up FOLDER`, or leave out --detach"));
    }
    let config = config(args)?;
    let output = config.download_dir.clone();
    std::fs::create_dir_all(&output).map_err(|error| {
        Failure::failed(format_args!("cannot create {}: {error}", output.display()))
    })?;
    let nobody_known = config.hubs.is_empty()
        && config.peers.is_empty()
        && wanted
            .iter()
            .any(|wanted| matches!(wanted, Wanted::Link(link) if link.peers.is_empty()));
    if nobody_known {
        note(
            "the link names no peer, and no hub and no other peer is configured, so only peers on \
             the local network can be asked; name one with --hub or --peer",
        );
    }
    let node = Node::start(config).await?;
    let outcome = get::download(&Running::Here(node.clone()), wanted, args, out).await;
    node.shutdown().await;
    outcome
}

/// The user's configuration without shares. Files land in the current folder
/// unless the user says otherwise.
fn config(args: &GetArgs) -> Result<NodeConfig, Failure> {
    let flags = Overrides {
        data_dir: args.target.data_dir.clone(),
        hubs: args.hub.clone(),
        peers: args.peer.clone(),
        local_discovery: args.no_local_discovery.then_some(false),
        ..Overrides::default()
    };
    let environment = |name: &str| std::env::var(name).ok();
    let mut config = NodeConfig::resolve(args.config.as_deref(), environment, flags)?;
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from("."));
    config.download_dir = absolute(&output)?;
    config.scan = false;
    config.shares = Vec::new();
    config.hub_server = false;
    // Nobody should rely on a peer that is about to go.
    config.supernode.role = RoleWish::Forbid;
    config.dht.member = false;
    config.dht.grant = 0;
    Ok(config)
}
