//! Tokens: cached, renewed before they end, one renewal at a time, and once more when Azure
//! refuses one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_core::credentials::{AccessToken, TokenCredential};
use azure_core::error::ErrorKind;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::ApiError;
use crate::client::net::{SendError, clock, redact};
use crate::model::Origin;

/// A token is renewed this long before its end.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// How long a way may take when there is another one.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Factory = dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync;

/// Where tokens come from. Copies share one cache.
#[derive(Clone)]
pub struct TokenSource(Arc<TokenInner>);

struct TokenInner {
    /// Ways in order. Makes a credential anew each time: credentials keep tokens of their own, and
    /// would answer with one that Azure has refused.
    ways: Arc<Vec<Box<Factory>>>,
    /// The way that gave a token: a run has one identity, whomever its tokens are for.
    way: Arc<Mutex<Option<usize>>>,
    #[cfg(test)]
    fixed: Option<HeaderValue>,
    scope: String,
    /// Which way to sign in was taken, for whoever reads that it failed.
    how: String,
    state: Mutex<TokenState>,
}

#[derive(Default)]
struct TokenState {
    header: Option<HeaderValue>,
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
    serial: u64,
}

/// A token ready to send.
pub(super) struct Bearer {
    header: HeaderValue,
    pub(super) serial: u64,
    pub(super) renewable: bool,
}

impl Bearer {
    /// The header for a request of this origin; `None` for any other address.
    pub(super) fn towards(&self, origin: &Origin, url: &str) -> Option<HeaderValue> {
        origin.covers(url).then(|| self.header.clone())
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("scope", &self.0.scope).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// Always the same token.
    #[cfg(test)]
    pub fn fixed(token: &str) -> Self {
        let mut source = Self::made("", "", Vec::new());
        if let Some(inner) = Arc::get_mut(&mut source.0) {
            inner.fixed = header(token);
        }
        source
    }

    pub(super) fn made(scope: &str, how: &str, ways: Vec<Box<Factory>>) -> Self {
        Self(Arc::new(TokenInner {
            ways: Arc::new(ways),
            way: Arc::default(),
            #[cfg(test)]
            fixed: None,
            scope: scope.into(),
            how: how.into(),
            state: Mutex::default(),
        }))
    }

    /// Tokens of the same identity for somebody else.
    pub(super) fn towards(&self, scope: &str) -> Self {
        Self(Arc::new(TokenInner {
            ways: Arc::clone(&self.0.ways),
            way: Arc::clone(&self.0.way),
            #[cfg(test)]
            fixed: self.0.fixed.clone(),
            scope: scope.into(),
            how: self.0.how.clone(),
            state: Mutex::default(),
        }))
    }

    /// A token that is not the one with the `refused` serial number.
    pub(super) async fn bearer(&self, refused: Option<u64>) -> Result<Bearer, ApiError> {
        #[cfg(test)]
        if let Some(header) = &self.0.fixed {
            return Ok(Bearer { header: header.clone(), serial: 0, renewable: false });
        }
        // Whoever comes while a token is fetched waits here and then finds it.
        let mut state = self.0.state.lock().await;
        let now = clock::now();
        let is_refused = refused == Some(state.serial);
        let fresh = state.renew_at.is_some_and(|instant| now < instant) && !is_refused;
        if let (true, Some(header)) = (fresh, &state.header) {
            return Ok(Bearer { header: header.clone(), serial: state.serial, renewable: true });
        }
        let usable = !is_refused && state.ends_at.is_some_and(|instant| now < instant);
        match self.fetch(&mut state).await {
            Ok(()) => state.serial += 1,
            // An early renewal that fails costs nothing while the old token still counts.
            Err(error) if usable => tracing::debug!(%error, "renewing the token failed"),
            Err(error) => {
                let message = redact(&error.to_string());
                let told = format!("{message}{}", hint(&error.to_string()));
                return Err(ApiError::no_token(unanswered(&error), told, &self.0.how));
            }
        }
        let header = state.header.clone().unwrap_or(HeaderValue::from_static("Bearer"));
        Ok(Bearer { header, serial: state.serial, renewable: true })
    }
}

impl TokenSource {
    /// The first way that gives a token is the only one from then on: a run has one identity.
    async fn fetch(&self, state: &mut TokenState) -> azure_core::Result<()> {
        let TokenInner { ways, scope, .. } = &*self.0;
        let mut chosen = self.0.way.lock().await;
        let mut said = Vec::new();
        for (index, factory) in ways.iter().enumerate() {
            if chosen.is_some_and(|way| way != index) {
                continue;
            }
            let get = async { factory()?.get_token(&[scope], None).await };
            let last = index + 1 == ways.len() || chosen.is_some();
            let answer = if last {
                Some(get.await)
            } else {
                clock::until(clock::after(PATIENCE), get).await
            };
            let error = match answer {
                Some(Ok(token)) => {
                    keep(state, &token)?;
                    *chosen = Some(index);
                    return Ok(());
                }
                Some(Err(error)) if last && said.is_empty() => return Err(error),
                Some(Err(error)) => error.to_string(),
                None => format!("no answer in {} s", PATIENCE.as_secs()),
            };
            tracing::debug!(%error, "this way to sign in does not work here");
            said.push(error);
        }
        Err(azure_core::Error::with_message(ErrorKind::Credential, said.join("; then ")))
    }
}

fn keep(state: &mut TokenState, token: &AccessToken) -> azure_core::Result<()> {
    let Some(header) = header(token.token.secret()) else {
        let message = "the sign-in service gave a token that cannot stand in a header";
        return Err(azure_core::Error::with_message(ErrorKind::Credential, message));
    };
    let ends = u64::try_from(token.expires_on.unix_timestamp()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let life = Duration::from_secs(ends.saturating_sub(now));
    let early = MARGIN.min(life / 4);
    state.header = Some(header);
    state.ends_at = Some(clock::after(life));
    state.renew_at = Some(clock::after(life.saturating_sub(early)));
    Ok(())
}

fn header(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Why the sign-in service gave no answer, below what the sign-in makes of it.
fn unanswered(error: &azure_core::Error) -> Option<SendError> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(broken) = error.downcast_ref::<SendError>() {
            return Some(broken.clone());
        }
        next = error.source();
    }
    None
}

/// What to do about the sign-in errors that people meet most (Microsoft Entra error codes).
fn hint(error: &str) -> &'static str {
    let known = [
        ("AADSTS7000215", "; the client secret is wrong: use its value, not its id"),
        ("AADSTS7000222", "; the client secret has expired: make a new one"),
        ("AADSTS700016", "; the application is not in this tenant: check client id and tenant"),
        ("AADSTS90002", "; no such tenant: check `azure.tenant` and AZURE_TENANT_ID"),
        (
            "AADSTS70021",
            "; no federated credential of the application matches this token's issuer and subject",
        ),
        (
            "AADSTS700213",
            "; no federated credential of the application matches this token's subject",
        ),
        ("AADSTS700024", "; the assertion is too old: the job ran longer than its token lives"),
        ("AADSTS50076", "; a second factor is asked for: run `az login` again"),
        ("AADSTS50078", "; a second factor is asked for: run `az login` again"),
        ("AADSTS700082", "; the sign-in has expired: run `az login` again"),
        ("AADSTS53003", "; a conditional access policy refuses this sign-in"),
        ("az login", "; run `az login`, or choose another way with --auth"),
    ];
    known.iter().find(|(mark, _)| error.contains(mark)).map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Record;

    use azure_core::credentials::TokenRequestOptions;

    use super::*;

    /// What a way does when it is asked, and who was asked.
    #[derive(Debug)]
    struct Asked(&'static str, Arc<Record<Vec<&'static str>>>);

    #[async_trait::async_trait]
    impl TokenCredential for Asked {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            self.1.lock().unwrap().push(self.0);
            match self.0 {
                "silent" => std::future::pending().await,
                "broken" => {
                    Err(azure_core::Error::with_message(ErrorKind::Credential, "refused here"))
                }
                token => Ok(AccessToken::new(token, std::time::SystemTime::now().into())),
            }
        }
    }

    async fn ask(ways: &[&'static str]) -> (Vec<String>, Vec<&'static str>) {
        let asked = Arc::<Record<Vec<_>>>::default();
        let made = ways.iter().map(|way| {
            let (way, asked) = (*way, Arc::clone(&asked));
            let make = move || Ok(Arc::new(Asked(way, asked.clone())) as Arc<dyn TokenCredential>);
            Box::new(make) as Box<Factory>
        });
        let source = TokenSource::made("scope", "signing in", made.collect());
        let mut got = Vec::new();
        for _ in 0..2 {
            got.push(match source.bearer(None).await {
                Ok(bearer) => bearer.header.to_str().unwrap().to_owned(),
                Err(error) => error.to_string(),
            });
        }
        let asked = asked.lock().unwrap().clone();
        (got, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_does_not_work_gives_way_to_the_next_and_a_run_keeps_its_identity() {
        for first in ["silent", "broken"] {
            let (got, asked) = ask(&[first, "second", "third"]).await;
            assert_eq!(got, ["Bearer second", "Bearer second"]);
            assert_eq!(asked, [first, "second", "second"]);
        }
        let (got, _) = ask(&["silent", "broken"]).await;
        assert!(got[0].contains("no answer in 10 s") && got[0].contains("refused here"), "{got:?}");
    }
}
