//! Paths of Azure Resource Manager, taken apart ("ARM RPC: resource ids"): everything in them is case-insensitive.

/// One `providers/{namespace}/{type}/{name}…` part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) namespace: String,
    /// Types with the names that follow them; the last may stand alone (a collection or an action).
    pub(crate) pairs: Vec<(String, Option<String>)>,
}

/// A path under `/subscriptions` or `/providers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) subscription: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) levels: Vec<Level>,
    /// Segments that belong to no provider, after the scope (`resources`, `locations`…).
    pub(crate) rest: Vec<String>,
}

impl ResourcePath {
    pub(crate) fn parse(segments: &[String]) -> ResourcePath {
        let mut target = ResourcePath::default();
        let mut at = 0;
        let word =
            |at: usize, word: &str| segments.get(at).is_some_and(|s| s.eq_ignore_ascii_case(word));
        if word(at, "subscriptions") {
            target.subscription = segments.get(at + 1).cloned();
            at += 2;
        }
        if word(at, "resourcegroups") && at == 2 && segments.len() > 3 {
            target.group = segments.get(at + 1).cloned();
            at += 2;
        }
        while word(at, "providers") {
            let Some(namespace) = segments.get(at + 1) else { break };
            at += 2;
            let mut pairs = Vec::new();
            // Features live under "Microsoft.Features/providers/{namespace}": the word is a type there.
            let is_features = namespace.eq_ignore_ascii_case("microsoft.features");
            while at < segments.len() && (is_features || !word(at, "providers")) {
                pairs.push((segments[at].clone(), segments.get(at + 1).cloned()));
                at += 2;
            }
            target.levels.push(Level { namespace: namespace.clone(), pairs });
        }
        target.rest = segments.get(at..).unwrap_or_default().to_vec();
        target
    }

    /// The last provider level.
    pub(crate) fn last(&self) -> Option<&Level> {
        self.levels.last()
    }

    /// The last provider namespace in lower case, or an empty text.
    pub(crate) fn namespace(&self) -> String {
        self.last().map(|level| level.namespace.to_ascii_lowercase()).unwrap_or_default()
    }
}

impl Level {
    /// `namespace/type/type` as written.
    pub(crate) fn full_type(&self) -> String {
        let types: Vec<&str> = self.pairs.iter().map(|(kind, _)| kind.as_str()).collect();
        format!("{}/{}", self.namespace, types.join("/"))
    }

    /// `type/type` in lower case, without the namespace.
    pub(crate) fn types(&self) -> String {
        let types: Vec<String> =
            self.pairs.iter().map(|(kind, _)| kind.to_ascii_lowercase()).collect();
        types.join("/")
    }

    /// Whether the path names one resource (and not a collection or an action).
    pub(crate) fn is_named(&self) -> bool {
        self.pairs.last().is_some_and(|(_, name)| name.is_some())
    }

    /// The name of the pair at `index`, or an empty text.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.pairs.get(index).and_then(|(_, name)| name.as_deref()).unwrap_or_default()
    }

    /// The last name, or an empty text.
    pub(crate) fn last_name(&self) -> &str {
        self.pairs.last().and_then(|(_, name)| name.as_deref()).unwrap_or_default()
    }
}

/// The key of an id in the world: lower case, one slash between segments, none at the end.
pub(crate) fn key(id: &str) -> String {
    let mut key = String::with_capacity(id.len() + 1);
    for part in id.split('/').filter(|part| !part.is_empty()) {
        key.push('/');
        key.push_str(part);
    }
    key.make_ascii_lowercase();
    if key.is_empty() { "/".to_owned() } else { key }
}

/// Takes an id given as text apart.
pub(crate) fn parse(id: &str) -> ResourcePath {
    let segments: Vec<String> =
        id.split('/').filter(|s| !s.is_empty()).map(ToOwned::to_owned).collect();
    ResourcePath::parse(&segments)
}

/// The last segment of an id.
pub(crate) fn last_segment(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// The type of the resource an id names, in lower case (`microsoft.relay/namespaces`).
pub(crate) fn type_of(id: &str) -> String {
    let target = parse(id);
    match target.last() {
        Some(level) => level.full_type().to_ascii_lowercase(),
        None if target.group.is_some() => "microsoft.resources/resourcegroups".to_owned(),
        None => "microsoft.resources/subscriptions".to_owned(),
    }
}

/// The id without its last `type/name`.
pub(crate) fn parent_id(id: &str) -> String {
    let parts: Vec<&str> = id.trim_end_matches('/').rsplitn(3, '/').collect();
    parts.last().map(|s| (*s).to_owned()).unwrap_or_default()
}

/// The cluster an extension path stands under.
pub(crate) fn cluster_of(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let end = lower.find("/providers/microsoft.kubernetesconfiguration").unwrap_or(path.len());
    path.get(..end).unwrap_or(path).to_owned()
}
