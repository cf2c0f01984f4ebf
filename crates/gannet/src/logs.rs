//! Logs: to standard error, quiet unless asked.

use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// Starts logging what `filter` lets through, as lines or as JSON.
///
/// # Errors
///
/// If the filter is none.
pub(crate) fn start(filter: &str, json: bool) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format_args!("\"{filter}\" is not a log filter: {error}"))
            .next("use error, warn, info, debug or trace, or a target like gannet_node=debug")
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never)
        .with_writer(std::io::stderr);
    // Only `main` calls this, once, so there is no subscriber yet; were there
    // one, its logs would do.
    let _ = if json {
        logs.json().try_init()
    } else {
        logs.try_init()
    };
    Ok(())
}
