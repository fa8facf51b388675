//! The address of a server, and the model that is asked for there.

use url::Url;

use crate::error::{Error, Result};

/// Paths that users copy from a server's documentation; what stands before them is the root.
const KNOWN_PATHS: [&str; 7] =
    ["/chat/completions", "/completions", "/embeddings", "/embed", "/models", "/v1/", "/v1"];

/// Whether a model source is a server's address.
#[must_use]
pub fn is_url(source: &str) -> bool {
    let starts =
        |prefix: &str| source.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("http://") || starts("https://")
}

/// Root of a server, e.g. `http://localhost:8000`, and the name of a model where the address has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) url: Url,
    pub(crate) model: Option<String>,
}

impl Endpoint {
    /// Reads `http[s]://HOST[:PORT][/PREFIX][/v1][#MODEL]`.
    ///
    /// # Errors
    /// [`Error::Url`] for anything else. User and password are refused, a query too: they are secrets more often than not,
    /// and the address is recorded.
    pub fn parse(source: &str) -> Result<Self> {
        let (address, model) = match source.split_once('#') {
            Some((address, model)) => (address, Some(model.trim()).filter(|model| !model.is_empty())),
            None => (source, None),
        };
        // What may hold a password is not repeated.
        let shown = match address.rsplit_once('@') {
            Some((before, host)) => {
                format!("{}://***@{host}", before.split("://").next().unwrap_or_default())
            }
            None => address.to_owned(),
        };
        let shown = shown.split('?').next().unwrap_or_default().to_owned();
        let refuse =
            |problem: &str, hint| Err(Error::Url { url: shown.clone(), problem: problem.to_owned(), hint });
        const FORM: &str = "write http://HOST:PORT/v1#MODEL";
        let mut url = match Url::parse(address) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string(), FORM),
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return refuse("expected an address that begins with http:// or https://", FORM);
        }
        const KEY: &str = "leave it out, and put a key into the environment variable TAMIS_API_KEY";
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("user and password in an address would be recorded", KEY);
        }
        if url.query().is_some() {
            return refuse("a query in an address would be recorded", KEY);
        }
        let mut path = url.path().trim_end_matches('/').to_owned();
        for known in KNOWN_PATHS {
            if let Some(root) = path.strip_suffix(known) {
                path = root.trim_end_matches('/').to_owned();
            }
        }
        url.set_path(&path);
        Ok(Self { url, model: model.map(str::to_owned) })
    }

    /// The root without a slash at its end.
    #[must_use]
    pub fn root(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_model_are_found_in_what_users_write() {
        for (source, root, model) in [
            ("http://localhost:8000", "http://localhost:8000", None),
            ("http://localhost:8000/", "http://localhost:8000", None),
            ("HTTP://Host:8000/v1#Qwen/Qwen3-8B", "http://host:8000", Some("Qwen/Qwen3-8B")),
            ("https://a.b/prefix/v1/#m:latest", "https://a.b/prefix", Some("m:latest")),
            ("http://h/v1/chat/completions#", "http://h", None),
            ("http://h/v1/embeddings", "http://h", None),
            ("http://h:8080/embed", "http://h:8080", None),
            ("http://[::1]:80/v1", "http://[::1]", None),
        ] {
            let endpoint = Endpoint::parse(source).unwrap();
            assert_eq!((endpoint.root(), endpoint.model.as_deref()), (root, model), "{source}");
        }
    }

    #[test]
    fn secrets_in_an_address_are_refused_and_not_repeated() {
        for source in [
            "http://user:hunter2@h/v1",
            "http://hunter2@h/v1#m",
            "https://h/v1?api_key=hunter2#m",
            "http://u:hun@ter2@h:99999/v1",
        ] {
            let error = Endpoint::parse(source).unwrap_err();
            let told = format!("{error} {error:?} {:?}", error.hint());
            assert!(error.is_usage() && !told.contains("hunter2") && !told.contains("hun@"), "{told}");
        }
        for source in ["http://", "ftp://h/v1", "http://h:port", "nonsense"] {
            assert!(Endpoint::parse(source).unwrap_err().is_usage(), "{source}");
        }
    }
}
