//! The simulator as a server, for clients that are not ours: az, terraform, SDKs, kubectl.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::router::{FAULT_HEADER, Scheme};
use super::{Pace, Sandbox, SandboxError, load, seed, tls};

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether to speak HTTPS, with a CA of its own.
    pub tls: bool,
    /// Where the CA, the certificate and the kubeconfigs are kept.
    pub folder: PathBuf,
    /// How long things take.
    pub pace: Pace,
}

/// What a server says once it listens.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Base URL, such as `https://localhost:8443`.
    pub url: String,
    /// The bound address.
    pub address: SocketAddr,
    /// The CA certificate clients must trust, when HTTPS is spoken.
    pub ca: Option<PathBuf>,
    /// Cluster name and the kubeconfig that leads to it.
    pub kubeconfigs: Vec<(String, PathBuf)>,
}

impl Sandbox {
    /// Serves the world until `stop` completes. An empty world gets the clusters of its world file, or an example.
    /// The state file is written while serving, and read again when somebody else changed it.
    ///
    /// # Errors
    /// When the address cannot be bound, or a certificate, kubeconfig or the state cannot be written.
    pub async fn serve(
        &self,
        options: ServeOptions,
        listening: impl FnOnce(&Listening),
        stop: impl Future<Output = ()>,
    ) -> Result<(), SandboxError> {
        {
            let mut world = self.lock();
            world.pace = options.pace;
            world.advance();
            seed::fill_empty(&mut world);
        }
        let listener = TcpListener::bind(options.listen).await.map_err(SandboxError::Serve)?;
        let address = listener.local_addr().map_err(SandboxError::Serve)?;
        let scheme = if options.tls { "https" } else { "http" };
        let (acceptor, ca) = if options.tls {
            let (config, ca) = tls::configuration(&options.folder)?;
            (Some(TlsAcceptor::from(config)), Some(ca))
        } else {
            (None, None)
        };
        let host = if address.ip().is_loopback() || address.ip().is_unspecified() {
            "localhost".to_owned()
        } else {
            address.ip().to_string()
        };
        // A certificate names localhost; on IPv6 loopback the name may resolve to the other family, so plain HTTP shows the address.
        let url = if options.tls {
            format!("https://{host}:{}", address.port())
        } else {
            format!("http://{address}")
        };
        let kubeconfigs = self.write_kubeconfigs(&options.folder, &url, ca.as_deref())?;
        self.save()?;
        listening(&Listening { url, address, ca, kubeconfigs });

        let mut connections = JoinSet::new();
        let mut keeper = StateKeeper::new(self.clone());
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let (sandbox, acceptor) = (self.clone(), acceptor.clone());
                    connections.spawn(async move { connection(sandbox, acceptor, stream, scheme).await });
                },
                _ = tick.tick() => keeper.keep(),
                Some(_) = connections.join_next() => {}
            }
        }
        connections.shutdown().await;
        self.save()
    }

    fn write_kubeconfigs(
        &self,
        folder: &Path,
        url: &str,
        ca: Option<&Path>,
    ) -> Result<Vec<(String, PathBuf)>, SandboxError> {
        let clusters: Vec<(String, String)> = self
            .lock()
            .clusters
            .values()
            .map(|cluster| (cluster.name.clone(), cluster.id.clone()))
            .collect();
        let folder = folder.join("kubeconfigs");
        let mut written = Vec::new();
        for (name, id) in clusters {
            let path = folder.join(format!("{name}.yaml"));
            let failed = |source| SandboxError::Write { path: path.clone(), source };
            fs::create_dir_all(&folder).map_err(failed)?;
            fs::write(&path, kubeconfig(url, &id, ca)).map_err(failed)?;
            written.push((name, path));
        }
        Ok(written)
    }
}

/// A kubeconfig that leads to a cluster of a served simulator.
pub(super) fn kubeconfig(url: &str, cluster: &str, ca: Option<&Path>) -> String {
    let target = super::arm::id::parse(cluster);
    let name = super::arm::id::last_segment(cluster);
    let (subscription, group) =
        (target.subscription.unwrap_or_default(), target.group.unwrap_or_default());
    let trust = match ca {
        Some(path) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            format!("    certificate-authority: {}\n", path.display())
        }
        None if url.starts_with("https") => "    insecure-skip-tls-verify: true\n".to_owned(),
        None => String::new(),
    };
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    server: {url}/kubernetes/{subscription}/{group}/{name}\n{trust}contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\ncurrent-context: {name}\nusers:\n- name: {name}\n  user:\n    token: admin\n"
    )
}

/// Keeps the state file and the world the same while serving.
struct StateKeeper {
    sandbox: Sandbox,
    written: Option<SystemTime>,
    revision: u64,
}

impl StateKeeper {
    fn new(sandbox: Sandbox) -> StateKeeper {
        let written = StateKeeper::modified(&sandbox);
        let revision = sandbox.lock().revision;
        StateKeeper { sandbox, written, revision }
    }

    fn modified(sandbox: &Sandbox) -> Option<SystemTime> {
        sandbox
            .path
            .as_ref()
            .and_then(|path| fs::metadata(path).ok())
            .and_then(|data| data.modified().ok())
    }

    fn keep(&mut self) {
        let Some(path) = self.sandbox.path.clone() else { return };
        let modified = StateKeeper::modified(&self.sandbox);
        if modified.is_some() && modified != self.written {
            if let Ok(mut fresh) = load(&path) {
                let mut world = self.sandbox.lock();
                fresh.pace = world.pace;
                fresh.revision = self.revision;
                *world = fresh;
            }
            self.written = modified;
            return;
        }
        let revision = {
            let mut world = self.sandbox.lock();
            world.advance();
            world.revision
        };
        if revision != self.revision && self.sandbox.save().is_ok() {
            self.revision = revision;
            self.written = StateKeeper::modified(&self.sandbox);
        }
    }
}

async fn connection(
    sandbox: Sandbox,
    acceptor: Option<TlsAcceptor>,
    stream: TcpStream,
    scheme: &'static str,
) {
    let _ = stream.set_nodelay(true);
    match acceptor {
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(sandbox, TokioIo::new(stream), scheme).await;
            }
        }
        None => converse(sandbox, TokioIo::new(stream), scheme).await,
    }
}

/// The error that closes a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped on purpose")]
struct Dropped;

async fn converse<I>(sandbox: Sandbox, io: I, scheme: &'static str)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let router = sandbox.router();
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Scheme(scheme));
            let response: Response<Body> = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.headers().contains_key(FAULT_HEADER) {
                Err(Arc::new(Dropped))
            } else {
                Ok(response)
            }
        }
    });
    // An error here is a connection that broke, on purpose or not; there is nobody to tell.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}
