//! What may be logged of a request. Bodies never are; addresses lose the values of their queries
//! except the harmless ones, and texts lose what looks like a token or a key.

use std::borrow::Cow;
use std::fmt;

/// Query parts whose values say nothing secret; every other value becomes `…`.
const PLAIN_QUERY: [&str; 5] = ["api-version", "$top", "forcedelete", "fieldmanager", "service"];
/// What stands before a secret in texts that services write.
const MARKS: [&str; 11] = [
    "bearer ",
    "sharedaccesskey=",
    "sharedaccesssignature ",
    "accountkey=",
    "client_secret=",
    "client_assertion=",
    "access_token\":\"",
    "refresh_token\":\"",
    "password=",
    "&sig=",
    "?sig=",
];
const HIDDEN: &str = "(hidden)";

/// A text that was made safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted(String);

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Redacted> for String {
    fn from(redacted: Redacted) -> Self {
        redacted.0
    }
}

/// Makes a text, or an address, safe to log.
#[must_use]
pub fn redact(text: &str) -> Redacted {
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    let shown = if is_address && !text.contains(char::is_whitespace) {
        address(text)
    } else {
        hide_tokens(&hide_marked(text))
    };
    Redacted(shown)
}

fn address(text: &str) -> String {
    let Some((path, query)) = text.split_once('?') else {
        return text.to_owned();
    };
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if !PLAIN_QUERY.contains(&name.to_ascii_lowercase().as_str()) => {
            Cow::Owned(format!("{name}=…"))
        }
        Some(_) | None => Cow::Borrowed(part),
    });
    format!("{path}?{}", parts.collect::<Vec<_>>().join("&"))
}

fn hide_marked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let lower = rest.to_ascii_lowercase();
        let found = MARKS.iter().filter_map(|mark| Some((lower.find(mark)?, mark.len()))).min();
        let Some((at, length)) = found else {
            shown.push_str(rest);
            return shown;
        };
        let start = at + length;
        shown.push_str(&rest[..start]);
        shown.push_str(HIDDEN);
        let tail = &rest[start..];
        let end = tail.find(|letter: char| letter.is_whitespace() || ";&\"'<>,".contains(letter));
        rest = &tail[end.unwrap_or(tail.len())..];
    }
}

/// JSON web tokens and PEM blocks, wherever they stand.
fn hide_tokens(text: &str) -> String {
    let mut shown = text.to_owned();
    for (open, close) in [("eyJ", ""), ("-----BEGIN", "-----END")] {
        let mut from = 0;
        while let Some(found) = shown[from..].find(open) {
            let at = from + found;
            let end = if close.is_empty() {
                let token = |it: char| it.is_ascii_alphanumeric() || "-_.=".contains(it);
                shown[at..].find(|letter| !token(letter)).map_or(shown.len(), |number| at + number)
            } else {
                shown[at..].find(close).map_or(shown.len(), |number| at + number + close.len())
            };
            // Short words that happen to begin alike are no tokens.
            if close.is_empty() && end - at < 20 {
                from = end;
                continue;
            }
            shown.replace_range(at..end, HIDDEN);
            from = at + HIDDEN.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_texts_and_addresses_are_hidden_and_the_rest_stays() {
        let cases = [
            ("Authorization: Bearer canary.x.y, more", "Authorization: Bearer (hidden), more"),
            (
                "Endpoint=sb://a/;SharedAccessKeyName=r;SharedAccessKey=canary=;EntityPath=h",
                "Endpoint=sb://a/;SharedAccessKeyName=r;SharedAccessKey=(hidden);EntityPath=h",
            ),
            (
                "https://h/op?api-Version=2021-09-01&t=1&s=canary",
                "https://h/op?api-Version=2021-09-01&t=…&s=…",
            ),
            ("token eyJcanarycanarycanary.a-b_c= end", "token (hidden) end"),
            (
                "a -----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
                "a (hidden) PRIVATE KEY-----",
            ),
            ("plain text, eyJ short", "plain text, eyJ short"),
            ("grant&client_secret=canary&x=1", "grant&client_secret=(hidden)&x=1"),
            ("ünï Bearer cänary", "ünï Bearer (hidden)"),
        ];
        for (given, wanted) in cases {
            assert_eq!(redact(given).to_string(), wanted);
        }
    }
}
