//! Ctrl-C and its kin.

use tokio::sync::mpsc;

/// Asks to stop, in order of arrival. Once it exists, the first signal no
/// longer ends the process by itself.
#[derive(Debug)]
pub(crate) struct Signals {
    asked: mpsc::Receiver<()>,
}

impl Signals {
    /// Listens for SIGINT and SIGTERM from now on (Ctrl-C where there are no
    /// signals).
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (tell, asked) = mpsc::channel(4);
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
                let mut signal = signal(kind)?;
                let tell = tell.clone();
                tokio::spawn(async move {
                    while signal.recv().await.is_some() && tell.send(()).await.is_ok() {}
                });
            }
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() && tell.send(()).await.is_ok() {}
        });
        Ok(Self { asked })
    }

    /// Waits for the next one. May be dropped and called again.
    pub(crate) async fn asked(&mut self) {
        if self.asked.recv().await.is_none() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
