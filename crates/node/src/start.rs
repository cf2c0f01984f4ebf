//! Starting.

use crate::{Node, NodeConfig, StartError};

pub(crate) async fn start(config: NodeConfig) -> Result<Node, StartError> {
    Err(StartError::Network {
        reason: config.network,
    })
}
