//! From a dial or an arrival to a connection that counts: encryption, then the
//! greetings, each step under a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gannet_base::PeerId;
use iroh::endpoint::{
    ConnectError, ConnectWithOptsError, ConnectingError, Connection, ConnectionError, Incoming,
    TransportErrorCode,
};
use iroh::{EndpointAddr, EndpointId, TransportAddr};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::connection::{self, Established};
use crate::counters::count;
use crate::endpoint::{Shared, Ticket};
use crate::handshake::{EXPORT_LABEL, GREETING_BYTES_MAX, Greeting, Rejected, Role, Session};
use crate::limits::Origin;
use crate::pipe::{PipeReader, PipeWriter};
use crate::table::Entered;
use crate::wire::{
    ALPN, CODE_DUPLICATE, CODE_FULL, CODE_LEFT, CODE_MALFORMED, CODE_TIMED_OUT, CODE_VERSION,
    CODE_WRONG_NETWORK, CODE_WRONG_SECRET, StreamHeader,
};
use crate::{DialError, NetEvent};

/// How long a dial without any address waits for local discovery. Peers nearby
/// are usually known before anybody dials them.
// Guess: two rounds of announcements.
const DISCOVERY_PATIENCE: Duration = Duration::from_secs(5);

/// How a dial ended without a connection of its own.
enum Missed {
    /// For this reason.
    Failed(DialError),
    /// The other side prefers the connection that it dialled itself.
    Duplicate,
}

impl From<DialError> for Missed {
    fn from(error: DialError) -> Self {
        Self::Failed(error)
    }
}

/// Dials a peer and runs the connection that comes of it, or reports why none
/// does. `dial` is its name in the table.
pub(crate) async fn dial(shared: Arc<Shared>, peer: PeerId, dial: u64, stop: Arc<Notify>) {
    count(&shared.tally.dials);
    let attempt = async {
        match attempt(&shared, peer, dial).await {
            Ok(entered) => Ok(entered),
            Err(Missed::Failed(error)) => Err(error),
            Err(Missed::Duplicate) => {
                // The other one arrives any moment and takes the dial's place;
                // if it does not, somebody still waits to hear.
                tokio::time::sleep(shared.limits.handshake_timeout).await;
                Err(DialError::TimedOut)
            }
        }
    };
    let outcome = tokio::select! {
        outcome = attempt => outcome,
        () = stop.notified() => Err(DialError::Cancelled),
    };
    match outcome {
        Ok(Some((established, predecessor))) => {
            connection::run(shared, established, predecessor).await;
        }
        // Another connection has taken this one's place.
        Ok(None) => {}
        Err(reason) => {
            if shared.table().dial_failed(peer, dial) {
                count(&shared.tally.dials_failed);
                debug!(peer = %peer.short(), %reason, "could not connect");
                shared.emit(NetEvent::Unreachable { peer, reason }).await;
            }
        }
    }
}

type Running = (Arc<Established>, Option<Arc<Established>>);

async fn attempt(shared: &Arc<Shared>, peer: PeerId, dial: u64) -> Result<Option<Running>, Missed> {
    let target = target(shared, peer)?;
    let ticket = Ticket::admit(shared, Origin::Dialed).map_err(|_| DialError::NoRoom)?;
    let (patience, failure) = if target.is_empty() {
        let patience = shared.limits.dial_timeout.min(DISCOVERY_PATIENCE);
        (patience, DialError::NoAddress)
    } else {
        (shared.limits.dial_timeout, DialError::TimedOut)
    };
    let connection = timeout(patience, shared.endpoint.connect(target, ALPN))
        .await
        .map_err(|_| failure)?
        .map_err(|error| connect_error(&error))?;
    let greeted = timeout(
        shared.limits.handshake_timeout,
        greet(shared, peer, dial, &connection, ticket),
    )
    .await;
    match greeted {
        Ok(Ok(running)) => Ok(running),
        Ok(Err(missed)) => {
            // Does nothing where the other side closed first.
            connection.close(CODE_LEFT.into(), b"");
            Err(missed)
        }
        Err(_) => {
            connection.close(CODE_TIMED_OUT.into(), b"");
            Err(DialError::TimedOut.into())
        }
    }
}

/// Where to dial, as far as known and allowed.
fn target(shared: &Shared, peer: PeerId) -> Result<EndpointAddr, DialError> {
    if peer == shared.me {
        return Err(DialError::Itself);
    }
    let id = EndpointId::from_bytes(peer.as_bytes()).map_err(|_| DialError::InvalidId)?;
    let known = shared.book().addresses(peer);
    if known.is_empty() && shared.relays.is_empty() && !shared.has_discovery() {
        return Err(DialError::NoAddress);
    }
    let allowed: Vec<_> = known
        .iter()
        .filter(|address| shared.may_dial(**address))
        .map(|address| TransportAddr::Ip(*address))
        .collect();
    if allowed.is_empty() && !known.is_empty() {
        return Err(DialError::TooOften);
    }
    let relays = shared.relays.iter().cloned().map(TransportAddr::Relay);
    Ok(EndpointAddr::from_parts(
        id,
        allowed.into_iter().chain(relays),
    ))
}

/// The dialler's half of the handshake.
async fn greet(
    shared: &Arc<Shared>,
    peer: PeerId,
    dial: u64,
    connection: &Connection,
    ticket: Ticket,
) -> Result<Option<Running>, Missed> {
    let closed = || closed_reason(connection);
    let (send, recv) = connection.open_bi().await.map_err(|_| closed())?;
    let session = session(shared.me, peer, connection).ok_or(DialError::Broken)?;
    let Some(pass) = shared.table().greet(peer, dial) else {
        connection.close(CODE_DUPLICATE.into(), b"");
        return Ok(None);
    };
    let greeting = shared.greeting(&session, Role::Dialer, pass.sequence);
    let mut writer = PipeWriter::new(send);
    let sent = write_greeting(&mut writer, &greeting, StreamHeader::Handshake.encode()).await;
    if !sent {
        return Err(closed());
    }
    let mut reader = PipeReader::new(recv);
    let Ok(Some(answer)) = reader.frame(GREETING_BYTES_MAX).await else {
        return Err(closed());
    };
    let answer = shared
        .keys
        .check(&session, Role::Acceptor, &answer)
        .map_err(|rejected| {
            connection.close(rejection_code(rejected).into(), b"");
            match rejected {
                Rejected::WrongNetwork => DialError::WrongNetwork,
                Rejected::WrongSecret => DialError::WrongSecret,
                Rejected::Version | Rejected::Malformed => DialError::Version,
            }
        })?;
    let established = Arc::new(Established::new(
        shared,
        ticket,
        connection.clone(),
        (peer, pass.id, true),
        answer.agent,
    ));
    let entered = shared.table().enter_dialed(
        peer,
        pass,
        answer.instance,
        answer.sequence,
        established.clone(),
    );
    let Some(entered) = entered else {
        connection.close(CODE_DUPLICATE.into(), b"");
        return Ok(None);
    };
    Ok(Some(running(shared, established, entered)))
}

fn running(
    shared: &Shared,
    established: Arc<Established>,
    entered: Entered<Arc<Established>>,
) -> Running {
    if entered.has_replaced {
        count(&shared.tally.replaced);
    }
    (established, entered.predecessor)
}

/// Sees an arrival through its handshake and runs the connection.
pub(crate) async fn accept(shared: Arc<Shared>, incoming: Incoming, ticket: Ticket) {
    let deadline = Instant::now() + shared.limits.handshake_timeout;
    let encrypted = timeout_at(deadline, async { incoming.accept().ok()?.await.ok() }).await;
    let Ok(Some(connection)) = encrypted else {
        count(&shared.tally.handshakes_failed);
        return;
    };
    let greeted = timeout_at(deadline, hear_greeting(&shared, &connection))
        .await
        .unwrap_or(Err(CODE_TIMED_OUT));
    let code = match greeted {
        // No deadline from here on: what has entered the table must be run.
        Ok(greeted) => match welcome(&shared, &connection, ticket, greeted).await {
            Some((established, predecessor)) => {
                return connection::run(shared, established, predecessor).await;
            }
            None => CODE_DUPLICATE,
        },
        Err(code) => {
            count(&shared.tally.handshakes_failed);
            code
        }
    };
    let peer = connection.remote_id().fmt_short();
    debug!(%peer, code, "refused an arrival");
    connection.close(code.into(), b"");
}

/// A dialler's greeting that was found good.
struct Greeted {
    peer: PeerId,
    session: Session,
    greeting: Greeting,
    writer: PipeWriter,
}

/// The first part of the acceptor's half of the handshake; on failure, the
/// code to close with.
async fn hear_greeting(shared: &Shared, connection: &Connection) -> Result<Greeted, u32> {
    let peer = PeerId::from_bytes(*connection.remote_id().as_bytes());
    let (send, recv) = connection.accept_bi().await.map_err(|_| CODE_LEFT)?;
    let session = session(peer, shared.me, connection).ok_or(CODE_LEFT)?;
    let mut reader = PipeReader::new(recv);
    let header = reader.byte().await.map_err(|_| CODE_MALFORMED)?;
    if header.map(|byte| vec![byte]) != Some(StreamHeader::Handshake.encode()) {
        return Err(CODE_MALFORMED);
    }
    let greeting = reader
        .frame(GREETING_BYTES_MAX)
        .await
        .map_err(|_| CODE_MALFORMED)?
        .ok_or(CODE_MALFORMED)?;
    let greeting = shared
        .keys
        .check(&session, Role::Dialer, &greeting)
        .map_err(rejection_code)?;
    Ok(Greeted {
        peer,
        session,
        greeting,
        writer: PipeWriter::new(send),
    })
}

/// The second part: makes the connection count and answers. `None` if it is a
/// leftover of dialling at once.
async fn welcome(
    shared: &Shared,
    connection: &Connection,
    mut ticket: Ticket,
    greeted: Greeted,
) -> Option<Running> {
    let Greeted {
        peer,
        session,
        greeting,
        mut writer,
    } = greeted;
    let mut made = None;
    let (pass, entered) =
        shared
            .table()
            .enter_accepted(peer, greeting.instance, greeting.sequence, |pass| {
                ticket.settle();
                let established = Arc::new(Established::new(
                    shared,
                    ticket,
                    connection.clone(),
                    (peer, pass.id, false),
                    greeting.agent,
                ));
                made = Some(established.clone());
                established
            })?;
    let answer = shared.greeting(&session, Role::Acceptor, pass.sequence);
    let answered = timeout(
        shared.limits.handshake_timeout,
        write_greeting(&mut writer, &answer, Vec::new()),
    );
    if !answered.await.unwrap_or(false) {
        // Running it will find it closed and report that.
        connection.close(CODE_TIMED_OUT.into(), b"");
    }
    Some(running(shared, made?, entered))
}

async fn write_greeting(writer: &mut PipeWriter, greeting: &Greeting, header: Vec<u8>) -> bool {
    let mut bytes = header;
    bytes.extend(gannet_base::wire::frame(&greeting.encode()));
    let sent = writer.bytes(Bytes::from(bytes)).await.is_ok();
    writer.finish();
    sent
}

fn session(dialer: PeerId, acceptor: PeerId, connection: &Connection) -> Option<Session> {
    let mut keying = [0; 32];
    connection
        .export_keying_material(&mut keying, EXPORT_LABEL, b"")
        .ok()?;
    Some(Session {
        dialer,
        acceptor,
        keying,
    })
}

fn rejection_code(rejected: Rejected) -> u32 {
    match rejected {
        Rejected::Malformed => CODE_MALFORMED,
        Rejected::Version => CODE_VERSION,
        Rejected::WrongNetwork => CODE_WRONG_NETWORK,
        Rejected::WrongSecret => CODE_WRONG_SECRET,
    }
}

/// Why the other side ended the handshake.
fn closed_reason(connection: &Connection) -> Missed {
    match connection.close_reason() {
        Some(error) => connection_error(&error),
        None => Missed::Failed(DialError::Version),
    }
}

fn connection_error(error: &ConnectionError) -> Missed {
    let reason = match error {
        ConnectionError::ApplicationClosed(close) => {
            match u32::try_from(u64::from(close.error_code)) {
                Ok(CODE_WRONG_NETWORK) => DialError::WrongNetwork,
                Ok(CODE_WRONG_SECRET) => DialError::WrongSecret,
                Ok(CODE_VERSION | CODE_MALFORMED) => DialError::Version,
                Ok(CODE_FULL) => DialError::Refused,
                Ok(CODE_TIMED_OUT) => DialError::TimedOut,
                Ok(CODE_DUPLICATE) => return Missed::Duplicate,
                _ => DialError::Broken,
            }
        }
        ConnectionError::ConnectionClosed(close) => transport_error(close.error_code),
        ConnectionError::TransportError(error) => transport_error(error.code),
        ConnectionError::TimedOut => DialError::TimedOut,
        ConnectionError::VersionMismatch => DialError::Version,
        ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => DialError::Broken,
    };
    Missed::Failed(reason)
}

fn transport_error(code: TransportErrorCode) -> DialError {
    /// The TLS alert `no_application_protocol` (RFC 7301) as a QUIC error.
    const NO_PROTOCOL: u64 = 0x100 + 120;
    match u64::from(code) {
        _ if code == TransportErrorCode::CONNECTION_REFUSED => DialError::Refused,
        NO_PROTOCOL => DialError::Version,
        // Any other TLS alert: the keys did not match.
        0x100..=0x1ff => DialError::WrongPeer,
        _ => DialError::Broken,
    }
}

fn connect_error(error: &ConnectError) -> Missed {
    let reason = match error {
        ConnectError::Connection { source, .. } => return connection_error(source),
        ConnectError::Connecting { source, .. } => match source {
            ConnectingError::ConnectionError { source, .. } => return connection_error(source),
            ConnectingError::HandshakeFailure { .. } => DialError::WrongPeer,
            _ => DialError::Broken,
        },
        ConnectError::Connect { source, .. } => match source {
            ConnectWithOptsError::SelfConnect { .. } => DialError::Itself,
            ConnectWithOptsError::NoAddress { .. } => DialError::NoAddress,
            ConnectWithOptsError::EndpointClosed { .. } => DialError::Cancelled,
            _ => DialError::Broken,
        },
        _ => DialError::Broken,
    };
    Missed::Failed(reason)
}
