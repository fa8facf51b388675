//! The key of a server: read from the environment, sent in one header, and never shown.

use std::fmt;

use url::Url;

use crate::error::{Error, Result};

/// The key for any server.
const OWN: &str = "TAMIS_API_KEY";
/// The key that users of OpenAI have set anyway. It goes to OpenAI only: a judge on another machine is not to learn it.
const OPENAI: &str = "OPENAI_API_KEY";

/// A key; its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl ApiKey {
    /// The key for this server, where the environment has one.
    pub(crate) fn from_environment(url: &Url) -> Result<Option<Self>> {
        Self::choose(url, |name| std::env::var(name).ok())
    }

    fn choose(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let openai = url.scheme() == "https"
            && url.host_str().is_some_and(|host| host == "openai.com" || host.ends_with(".openai.com"));
        for name in if openai { &[OWN, OPENAI][..] } else { &[OWN][..] } {
            let Some(key) = variable(name) else { continue };
            let key = key.trim();
            if key.is_empty() {
                continue;
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Error::Key { variable: name });
            }
            return Ok(Some(Self(key.to_owned())));
        }
        Ok(None)
    }

    /// Value of the `Authorization` header.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// A text that the server sent, without the key: some repeat it in their errors.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(url: &str, variables: &[(&str, &str)]) -> Result<Option<ApiKey>> {
        ApiKey::choose(&Url::parse(url).unwrap(), |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn key_of_openai_goes_to_openai_only() {
        let both = [("TAMIS_API_KEY", ""), ("OPENAI_API_KEY", "sk-secret\n")];
        assert_eq!(choose("http://gpu-7:8000", &both).unwrap(), None);
        assert_eq!(choose("http://api.openai.com/v1", &both).unwrap(), None, "in clear");
        assert_eq!(choose("https://notopenai.com/v1", &both).unwrap(), None);
        let key = choose("https://api.openai.com/v1", &both).unwrap().unwrap();
        assert_eq!(key.header(), "Bearer sk-secret");
        assert_eq!(
            choose("http://gpu-7:8000", &[("TAMIS_API_KEY", "k")]).unwrap().unwrap().header(),
            "Bearer k"
        );
    }

    #[test]
    fn key_is_never_shown() {
        let key = choose("http://a", &[("TAMIS_API_KEY", "sk-secret")]).unwrap().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
        assert_eq!(key.redact("bad key sk-secret, sorry"), "bad key ***, sorry");
        let error = choose("http://a", &[("TAMIS_API_KEY", "sk\nsecret")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
