//! The least server that Prometheus needs, on a thread of its own.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::run::priority::step_back;

/// Connections served at once; more of them wait.
const CONNECTIONS_MAX: usize = 16;
/// Nobody needs longer for one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Ends when it is dropped.
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers at `/metrics` with what `page` says.
    pub(super) fn start(
        listener: &TcpListener,
        page: impl Fn() -> io::Result<String> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = listener.try_clone()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = move || {
            step_back();
            runtime.block_on(async {
                tokio::select! {
                    // A sender that is gone is the end as well.
                    _ = stopped => {}
                    failed = serve(listener, Arc::new(page)) => {
                        if let Err(error) = failed {
                            eprintln!("warning: /metrics is served no more: {error}");
                        }
                    }
                }
            });
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(serving)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // There is nothing in it to save.
            thread.join().unwrap_or_default();
        }
    }
}

async fn serve<P>(listener: TcpListener, page: Arc<P>) -> io::Result<()>
where
    P: Fn() -> io::Result<String> + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
        // A client that has gone before it was accepted is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let page = Arc::clone(&page);
        tokio::spawn(async move {
            let answering = service_fn(|request| {
                let response = answer(&request, &*page);
                async { Ok::<_, Infallible>(response) }
            });
            let serving =
                http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answering);
            // What a client does to its own connection concerns nobody else.
            drop(timeout(CONNECTION_TIMEOUT, serving).await);
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, page: &dyn Fn() -> io::Result<String>) -> Response<String> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match page() {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "figures of the run are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
