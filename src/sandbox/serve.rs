//! The simulator as a server, for clients that are not ours: az, terraform, SDKs, kubectl.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::error::SandboxError;
use crate::progress::advance;
use crate::router::Scheme;
use crate::sandbox::Sandbox;
use crate::state::clock::Pace;
use crate::state::cluster::kubeconfig;
use crate::state::files;
use crate::state::lock::Holder;
use crate::state::world::World;
use crate::wire::FAULT_HEADER;
use crate::{seed, tls};

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
    /// Subscription ids with their tenants.
    pub subscriptions: Vec<(String, String)>,
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
        let subscriptions = {
            let mut world = self.lock();
            world.pace = options.pace;
            advance(&mut world);
            seed::fill_empty(&mut world);
            subscriptions(&world)
        };
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
        let pem =
            ca.as_ref().map(std::fs::read_to_string).transpose().map_err(SandboxError::Serve)?;
        let kubeconfigs = self.write_kubeconfigs(&options.folder, &url, pem.as_deref())?;
        self.lock().authority = pem;
        self.save()?;
        let by_hand =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(SandboxError::Serve)?;
        let word = uuid::Uuid::new_v4().to_string();
        if let Some(state) = self.state() {
            let control = by_hand.local_addr().ok().map(|address| (address, word.clone()));
            state.say(&Holder { pid: std::process::id(), url: Some(url.clone()), control });
        }
        listening(&Listening { url, address, ca, kubeconfigs, subscriptions });

        let mut connections = JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let (sandbox, acceptor) = (self.clone(), acceptor.clone());
                    connections.spawn(async move { connection(sandbox, acceptor, stream, scheme).await });
                },
                accepted = by_hand.accept() => if let Ok((stream, _)) = accepted {
                    let (sandbox, word) = (self.clone(), word.clone());
                    connections.spawn(async move { sandbox.attend(stream, &word).await });
                },
                // What happens by time is written too, and what was written is synced. A full disk is tried again.
                _ = tick.tick() => { let _ = self.keep(false); },
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
        authority: Option<&str>,
    ) -> Result<Vec<(String, PathBuf)>, SandboxError> {
        let clusters: Vec<(String, String)> = self
            .lock()
            .clusters()
            .map(|(_, cluster)| (cluster.name.clone(), cluster.id.clone()))
            .collect();
        let folder = folder.join("kubeconfigs");
        let mut written = Vec::new();
        for (name, id) in clusters {
            let path = folder.join(format!("{name}.yaml"));
            let failed = |source| SandboxError::Write { path: path.clone(), source };
            files::replace(&path, kubeconfig(url, &id, authority, None).as_bytes())
                .map_err(failed)?;
            written.push((name, path));
        }
        Ok(written)
    }
}

/// The subscriptions of a world with their tenants.
fn subscriptions(world: &World) -> Vec<(String, String)> {
    let text = |body: &Json, member: &str| body[member].as_str().unwrap_or_default().to_owned();
    let all = world.of_type(None, "microsoft.resources/subscriptions").into_iter();
    all.map(|it| (text(&it.body, "subscriptionId"), text(&it.body, "tenantId"))).collect()
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
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{Deed, Seed, StateAccess, Subject};

    /// Serves a world, sends one request as written, and returns what came back until the server closed.
    async fn exchange(world: &str, request: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("world.yaml");
        std::fs::write(&file, world).expect("written");
        let sandbox = Sandbox::open(None, Some(&file), StateAccess::Write).expect("opens");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let options =
            ServeOptions { listen, tls: false, folder: folder.path().to_owned(), pace: Pace::Fast };
        let (told, hears) = tokio::sync::oneshot::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            sandbox
                .serve(options, move |at| told.send(at.clone()).unwrap_or_default(), stopped)
                .await
        });
        let at: Listening = hears.await.expect("listens");
        assert_eq!(at.kubeconfigs.len(), 2, "the example has two clusters");
        let mut stream = TcpStream::connect(at.address).await.expect("connects");
        let mut answer = Vec::new();
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream.read_to_end(&mut answer).await.expect("an answer");
        stop.send(()).expect("stops");
        server.await.expect("no panic").expect("no error");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_dropped_connection_ends_without_an_answer() {
        let request = "GET /subscriptions?api-version=2022-12-01 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n";
        assert_eq!(exchange("faults: {dropConnection: 1}", request).await, "");
        assert!(exchange("", request).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_served_world_is_changed_by_hand_through_its_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        let group = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g";
        let ours = Sandbox::open(Some(&path), None, StateAccess::Write).expect("opens");
        let subscription = "11111111-2222-3333-4444-555555555555".to_owned();
        ours.seed(&Seed {
            resource_groups: vec![(subscription, "g".to_owned(), String::new())],
            ..Seed::default()
        });
        let options = ServeOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: false,
            folder: folder.path().to_owned(),
            pace: Pace::Fast,
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (listens, listening) = tokio::sync::oneshot::channel();
        let server = {
            let ours = ours.clone();
            tokio::spawn(async move {
                let said = |_: &Listening| listens.send(()).expect("awaited");
                ours.serve(options, said, async { stopped.await.expect("stops") }).await
            })
        };
        listening.await.expect("listens");
        let refused = Sandbox::open(Some(&path), None, StateAccess::Write).expect_err("in use");
        assert!(refused.to_string().contains("serves it at http://127.0.0.1:"), "{refused}");
        let place = Subject::Arm(group.to_owned());
        let deed = Deed::Set { place, pointer: "/tags/by".to_owned(), value: json!("hand") };
        let by_hand = |deeds: Vec<Deed>| {
            let path = path.clone();
            tokio::task::spawn_blocking(move || Sandbox::by_hand(&path, &deeds))
        };
        by_hand(vec![deed]).await.expect("runs").expect("set");
        assert_eq!(ours.show()["arm"][group]["tags"]["by"], "hand");
        let shown = by_hand(vec![Deed::Show]).await.expect("runs").expect("shown");
        assert_eq!(shown["arm"][group]["tags"]["by"], "hand");
        let nothing = Deed::Delete { place: Subject::Arm("/subscriptions/none".to_owned()) };
        let said = by_hand(vec![nothing]).await.expect("runs").expect_err("not there").to_string();
        assert!(said.contains("/subscriptions/none"), "{said}");
        stop.send(()).expect("stops");
        server.await.expect("no panic").expect("no error");
        drop(ours);
        let again = Sandbox::open(Some(&path), None, StateAccess::Write).expect("free");
        assert_eq!(again.show()["arm"][group]["tags"]["by"], "hand");
    }
}
