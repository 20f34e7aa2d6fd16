//! An API call as it was sent: its path, its query, its checksum.

use axum::extract::FromRequestParts;
use axum::http::Request;
use axum::http::Uri;
use axum::http::request::Parts;
use url::form_urlencoded;

use crate::api::Api;
use crate::api::Failure;
use crate::checksum::api_call_is_signed;
use crate::config::Secret;
use crate::server::as_sent::plain;

/// A call, byte for byte: the checksum covers what the client sent, not what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// What follows the API's path and a slash: `hooks/create`, in the client's letter case, perhaps with a slash at its end.
    pub(super) method: String,
    /// What follows the question mark.
    pub(super) query: String,
}

/// Takes note of the call, and gives the request the canonical path (`/hooks/create`) to be routed by: letter case and a
/// slash at the end do not count.
pub(super) fn canonical<B>(mut request: Request<B>, api_path: &str) -> Request<B> {
    let path = request.uri().path();
    let method = path
        .get(..api_path.len())
        .filter(|start| start.eq_ignore_ascii_case(api_path))
        .and_then(|start| path[start.len()..].strip_prefix('/'));
    let Some(method) = method.map(|method| plain(method).into_owned()) else {
        *request.uri_mut() = Uri::from_static("/");
        return request;
    };
    let query = plain(request.uri().query().unwrap_or_default()).into_owned();
    let route = format!("/{}", method.strip_suffix('/').unwrap_or(&method).to_ascii_lowercase());
    *request.uri_mut() = Uri::try_from(route).unwrap_or_default();
    request.extensions_mut().insert(Call { method, query });
    request
}

/// The parameters of a call whose checksum was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    parameters: Vec<(String, String)>,
}

impl Signed {
    /// As if it were signed.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn unchecked(query: &str) -> Self {
        Self { parameters: parameters_of(query) }
    }

    /// A parameter; of one that is given twice, the first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

fn parameters_of(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl FromRequestParts<Api> for Signed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let call = parts.extensions.get::<Call>().ok_or(Failure::CHECKSUM)?;
        let refused = || {
            api.refusals.note(parts, &call.method, &call.query);
            Failure::CHECKSUM
        };
        let parameters = parameters_of(&call.query);
        let mut checksums = parameters.iter().filter(|(key, _)| key == "checksum").map(|(_, value)| value);
        let (Some(given), None) = (checksums.next(), checksums.next()) else { return Err(refused()) };
        let is_signed_by = |secret: &Secret| {
            api_call_is_signed(&call.method, &call.query, given, secret.expose(), &api.checksum_algorithms)
        };
        match api.secrets.iter().position(is_signed_by) {
            Some(0) => {}
            Some(_) => api.refusals.note_previous_secret(parts, &call.method),
            None => return Err(refused()),
        }
        Ok(Self { parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_by_the_canonical_path_and_keeps_the_call() {
        let routed = |target: &str| {
            let request = canonical(Request::get(target).body(()).unwrap(), "/bigbluebutton/api");
            (request.uri().path().to_owned(), request.extensions().get::<Call>().cloned())
        };
        let call = |method: &str, query: &str| Some(Call { method: method.to_owned(), query: query.to_owned() });
        assert_eq!(
            routed("/bigbluebutton/api/hooks/list?a=%20"),
            ("/hooks/list".to_owned(), call("hooks/list", "a=%20"))
        );
        assert_eq!(routed("/BigBlueButton/API/Hooks/List/"), ("/hooks/list".to_owned(), call("Hooks/List/", "")));
        assert_eq!(routed("/bigbluebutton/apihooks/list"), ("/".to_owned(), None));
        assert_eq!(routed("/hooks/list"), ("/".to_owned(), None));
        assert_eq!(routed("/bigbluebutton/api"), ("/".to_owned(), None));
    }
}
