//! One question, one connection, one answer.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ClientError;
use crate::token::ApiFile;
use crate::{API_VERSION, Problem};

/// Most bytes of an answer that is no stream.
// Guess: 1,000 rows with all their sources stay below it.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Whom to ask, and with what token.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    file: ApiFile,
    data_dir: PathBuf,
    /// For a connection, and for the head of a stream.
    patience: Duration,
}

impl Exchange {
    pub(super) fn new(file: ApiFile, data_dir: PathBuf, patience: Duration) -> Self {
        Self {
            file,
            data_dir,
            patience,
        }
    }

    /// Where `api.json` is.
    pub(super) fn api_file(&self) -> PathBuf {
        ApiFile::path(&self.data_dir)
    }

    /// Asks and reads a JSON answer, all within `patience`.
    pub(super) async fn json<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let exchange = async {
            let answer = self.send(method, path, body, "application/json").await?;
            read_json(answer).await
        };
        within(patience, exchange).await
    }

    /// Asks for a stream of events and returns when it has begun.
    pub(super) async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Incoming, ClientError> {
        let accept = "text/event-stream";
        let head = self.send(method, path, body, accept);
        let answer = within(self.patience, head).await?;
        if media_type(&answer) != accept {
            return Err(ClientError::Nonsense {
                reason: "it is no stream of events".to_owned(),
            });
        }
        Ok(answer.into_body())
    }

    /// Asks, and returns when the answer's head is there and says yes.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        accept: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = self.request(method, path, body, accept)?;
        let stream = within(self.patience, async {
            TcpStream::connect(self.file.address)
                .await
                .map_err(|error| self.not_connected(&error))
        })
        .await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends by itself when the answer has been read or dropped.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(broken)?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(ClientError::Unauthorised {
                path: self.api_file(),
            }),
            status => {
                let problem = read_problem(answer, status);
                Err(within(self.patience, problem).await?)
            }
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        accept: &str,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v{API_VERSION}{path}"))
            .header(header::HOST, self.file.address.to_string())
            .header(header::ACCEPT, accept)
            .header(header::CONNECTION, "close");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let bearer = format!("Bearer {}", self.file.token.text());
        let unsendable = |reason: String| ClientError::Unsendable { reason };
        let mut bearer =
            header::HeaderValue::try_from(bearer).map_err(|error| unsendable(error.to_string()))?;
        bearer.set_sensitive(true);
        request
            .header(header::AUTHORIZATION, bearer)
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| unsendable(error.to_string()))
    }

    fn not_connected(&self, error: &io::Error) -> ClientError {
        match error.kind() {
            // Nobody listens: the file was left by a peer that crashed.
            io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
                data_dir: self.data_dir.clone(),
            },
            _ => broken(error),
        }
    }
}

async fn within<T>(
    patience: Duration,
    what: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(patience, what)
        .await
        .unwrap_or(Err(ClientError::TimedOut { after: patience }))
}

pub(super) fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken {
        reason: error.to_string(),
    }
}

fn media_type(answer: &Response<Incoming>) -> &str {
    let value = answer.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

async fn read_body(answer: Response<Incoming>) -> Result<Bytes, ClientError> {
    Ok(Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(broken)?
        .to_bytes())
}

async fn read_json<T: for<'de> Deserialize<'de>>(
    answer: Response<Incoming>,
) -> Result<T, ClientError> {
    let body = read_body(answer).await?;
    serde_json::from_slice(&body).map_err(|error| ClientError::Nonsense {
        reason: error.to_string(),
    })
}

/// The error that an answer is; `Err` if not even that can be read.
async fn read_problem(
    answer: Response<Incoming>,
    status: StatusCode,
) -> Result<ClientError, ClientError> {
    if media_type(&answer) != Problem::MEDIA_TYPE {
        return Err(ClientError::Nonsense {
            reason: format!("it answered {status}"),
        });
    }
    read_json(answer).await.map(ClientError::Problem)
}

/// A body.
pub(super) fn json(body: &impl Serialize) -> Result<Option<Bytes>, ClientError> {
    match serde_json::to_vec(body) {
        Ok(body) => Ok(Some(body.into())),
        Err(error) => Err(ClientError::Unsendable {
            reason: error.to_string(),
        }),
    }
}

/// The path as the peer, which has another working directory, must see it.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, ClientError> {
    std::path::absolute(path).map_err(|error| ClientError::Unsendable {
        reason: format!("{}: {error}", path.display()),
    })
}

/// A text as a value in a query string.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => write!(escaped, "%{byte:02X}").expect("a String takes everything"),
        }
    }
    escaped
}
