//! The HTTP API by which hooks are created, destroyed and listed.
//!
//! [`call`] takes a request apart and checks its checksum, [`refusals`] tells the log why one is wrong, [`xml`] writes the
//! answers.

mod call;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod refusals;
mod unknown;
pub mod xml;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use crate::api::call::Signed;
use crate::api::call::canonical;
use crate::api::refusals::Refusals;
use crate::api::unknown::UnknownEvents;
use crate::api::xml::Answer;
use crate::books::requests::ApiRequest;
use crate::books::requests::ApiRequests;
use crate::checksum::Algorithm;
use crate::clock;
use crate::config::Config;
use crate::config::Secret;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::event::ExternalMeetingId;
use crate::hook;
use crate::hook::Hook;
use crate::registry;
use crate::registry::Created;
use crate::registry::NewHook;
use crate::registry::Registry;
use crate::server;
use crate::server::few::Few;
use crate::status::Observer;

/// What every call needs.
#[derive(Clone, Debug)]
struct Api {
    registry: Registry,
    observer: Arc<Observer>,
    /// Those that may sign calls, the one that is to be used first.
    secrets: Arc<[Secret]>,
    checksum_algorithms: Arc<[Algorithm]>,
    refusals: Refusals,
    unknown_events: UnknownEvents,
    /// Who must not be called.
    guard: Guard,
    /// Answers to `hooks/status`.
    statuses: Few,
}

/// Serves the API on `listener` until told to stop; then it finishes what was asked.
/// Calls are counted where `observer` sees them.
pub async fn serve(listener: TcpListener, observer: Observer, config: &Config, stop: CancellationToken) {
    let router = router(observer, config);
    let api_path: Arc<str> = config.bbb.api_path.as_str().into();
    server::serve(listener, config.api.limits, router, move |request| canonical(request, &api_path), stop).await;
}

/// What answers calls in canonical form.
fn router(observer: Observer, config: &Config) -> Router {
    let secrets: Arc<[Secret]> = config.bbb.accepted_secrets().cloned().collect();
    let checksum_algorithms: Arc<[Algorithm]> = config.api.checksum_algorithms.as_slice().into();
    let refusals = Refusals::new(&config.bbb.api_path, Arc::clone(&secrets), Arc::clone(&checksum_algorithms));
    let api = Api {
        registry: observer.registry.clone(),
        observer: Arc::new(observer.clone()),
        secrets,
        checksum_algorithms,
        refusals,
        unknown_events: UnknownEvents::new(config),
        guard: Guard::new(Policy::of_callbacks(config)),
        statuses: Few::default(),
    };
    let calls = Calls { counted: observer.requests, api_path: config.bbb.api_path.as_str().into() };
    Router::new()
        .route("/hooks/ping", get(|| async { "bbb-webhooks API up!" }))
        .route("/hooks/create", get(create))
        .route("/hooks/destroy", get(destroy))
        .route("/hooks/list", get(list))
        .route(STATUS, get(status))
        .with_state(api)
        .layer(from_fn_with_state(calls, count))
}

/// How the daemon does, as JSON: for its own command line, so it is there only for who knows the secret.
const STATUS: &str = "/hooks/status";

/// The routes, by which calls are counted. What is asked for elsewhere may be anything.
const ROUTES: [&str; 4] = ["/hooks/create", "/hooks/destroy", "/hooks/list", "/hooks/ping"];

/// Where calls are counted, and what their paths begin with.
#[derive(Clone)]
struct Calls {
    counted: Arc<ApiRequests>,
    api_path: Arc<str>,
}

/// Counts a call and its answer.
async fn count(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    let method = match request.method() {
        known @ (&Method::GET | &Method::HEAD | &Method::POST) => known.to_string(),
        _ => "other".to_owned(),
    };
    let route = ROUTES.into_iter().find(|route| *route == request.uri().path());
    let path = route.map_or_else(|| "other".to_owned(), |route| format!("{}{route}", calls.api_path));
    let response = next.run(request).await;
    let outcome = response.extensions().get::<Outcome>().copied().unwrap_or_default();
    calls.counted.answered(ApiRequest {
        method,
        path,
        status: response.status().as_u16(),
        returncode: outcome.returncode,
        message_key: outcome.message_key,
    });
    response
}

async fn create(State(api): State<Api>, call: Signed) -> Result<Response, Failure> {
    let new = new_hook(&call)?;
    may_be_called(&api.guard, &new.callback_url).await?;
    let created = api.registry.create(new, clock::unix_ms()).await;
    Ok(match created.map_err(|error| Failure::of(error, &Failure::CREATE))? {
        Created::New(hook) => {
            api.unknown_events.note(&hook);
            answer(&Answer::Created(&hook))
        }
        Created::Duplicate(hook) => answer(&Answer::Duplicate(&hook)),
    })
}

async fn destroy(State(api): State<Api>, call: Signed) -> Result<Response, Failure> {
    let id = call.get("hookID").ok_or(Failure::MISSING_HOOK_ID)?;
    api.registry.destroy(id).await.map_err(|error| Failure::of(error, &Failure::DESTROY))?;
    Ok(answer(&Answer::Destroyed))
}

async fn list(State(api): State<Api>, call: Signed) -> Result<Response, Failure> {
    let hooks = api.registry.list(call.filled("meetingID")).map_err(|error| Failure::of(error, &Failure::LIST))?;
    Ok((Extension(Outcome::SUCCESS), [(CONTENT_TYPE, XML)], listed(hooks).await).into_response())
}

/// At least so long are the pieces in which a list is written: there is no more of it for a client that does not take it.
const PIECE: usize = 32 * 1024;

/// A list of hooks as a body. A long one is written as the client takes it, and before that to see how long it is: some
/// clients want to know.
async fn listed(hooks: Vec<Arc<Hook>>) -> (Option<[(HeaderName, usize); 1]>, Body) {
    let mut pieces = xml::list(hooks.iter().cloned(), PIECE);
    let first = pieces.next().unwrap_or_default();
    let mut length = first.len();
    let mut is_long = false;
    for piece in pieces {
        is_long = true;
        length += piece.len();
        // Who only pings is not to wait for all of it.
        tokio::task::yield_now().await;
    }
    if !is_long {
        return (None, first.into());
    }
    drop(first);
    let pieces = stream::iter(xml::list(hooks, PIECE)).then(async |piece| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(piece)
    });
    (Some([(CONTENT_LENGTH, length)]), Body::from_stream(pieces))
}

async fn status(State(api): State<Api>, call: Result<Signed, Failure>) -> Response {
    if call.is_err() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let json = async {
        let begun = api.statuses.begin()?;
        let status = api.observer.look().await;
        begun.make(move || Some(status.to_json().to_string().into_bytes())).await
    };
    match json.await {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => error.into_response(),
    }
}

/// What a `hooks/create` asks for, if that can be had.
fn new_hook(call: &Signed) -> Result<NewHook, Failure> {
    let callback_url = call.filled("callbackURL").ok_or(Failure::MISSING_CALLBACK_URL)?;
    let refuse = |message: String| Err(Failure { key: Failure::CREATE.key, message: message.into() });
    for name in ["callbackURL", "meetingID", "eventID"] {
        if let Some(character) = call.get(name).and_then(|value| value.chars().find(|c| !xml::can_carry(*c))) {
            return refuse(format!(
                "The {name} has a character that XML cannot carry: {}.",
                character.escape_unicode()
            ));
        }
    }
    if let Err(why) = hook::callable(callback_url) {
        return refuse(format!("The callbackURL {why}."));
    }
    let raw = match call.filled("getRaw").map(str::to_ascii_lowercase).as_deref() {
        Some("true") => true,
        Some("false") | None => false,
        Some(_) => return refuse("The getRaw must be true or false.".to_owned()),
    };
    Ok(NewHook {
        callback_url: callback_url.to_owned(),
        meeting: call.filled("meetingID").map(ExternalMeetingId::from),
        events: hook::event_ids(call.filled("eventID").unwrap_or_default()),
        raw,
    })
}

/// Refuses a URL to which no callback would go.
async fn may_be_called(guard: &Guard, callback_url: &str) -> Result<(), Failure> {
    let Ok(url) = Url::parse(callback_url) else { return Err(Failure::CREATE) };
    let refused = guard.judge_thoroughly(&url).await;
    refused.map_err(|refusal| {
        let message = format!("No callbacks are sent to this callbackURL: {refusal} ({}).", refusal.key());
        Failure { key: Failure::CREATE.key, message: message.into() }
    })
}

/// Why a call failed, as the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    key: &'static str,
    message: Cow<'static, str>,
}

impl Failure {
    const CHECKSUM: Self = Self::new("checksumError", "You did not pass the checksum security check.");
    const MISSING_CALLBACK_URL: Self =
        Self::new("missingParamCallbackURL", "You must specify a callbackURL in the parameters.");
    const MISSING_HOOK_ID: Self = Self::new("missingParamHookID", "You must specify a hookID in the parameters.");
    const MISSING_HOOK: Self = Self::new("destroyMissingHook", "The hook informed was not found.");
    const CREATE: Self = Self::new("createHookError", "An error happened while creating your hook. Check the logs.");
    const DESTROY: Self = Self::new("destroyHookError", "An error happened while removing your hook. Check the logs.");
    const LIST: Self = Self::new("listHookError", "An error happened while listing registered hooks. Check the logs.");

    const fn new(key: &'static str, message: &'static str) -> Self {
        Self { key, message: Cow::Borrowed(message) }
    }

    /// What the client is told of an error of the registry; `otherwise` where the log says more.
    fn of(error: registry::Error, otherwise: &Self) -> Self {
        match error {
            registry::Error::NotFound => return Self::MISSING_HOOK,
            registry::Error::TooMany(most) => {
                warn!(hooks = most, "A hook is not created: there are as many as hooks.maxHooks allows");
                let message =
                    format!("There are {most} hooks already, and no more are allowed (hooks.maxHooks). Destroy some.");
                return Self { key: Self::CREATE.key, message: message.into() };
            }
            _ => {}
        }
        warn!(%error, answered = otherwise.key, "A call of the API failed");
        otherwise.clone()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        answer(&Answer::Failed { key: self.key, message: &self.message })
    }
}

/// Every answer in XML has status 200, failures too.
fn answer(answer: &Answer<'_>) -> Response {
    let outcome = match answer {
        Answer::Created(_) | Answer::Destroyed => Outcome::SUCCESS,
        Answer::Duplicate(_) => Outcome { message_key: "duplicateWarning", ..Outcome::SUCCESS },
        Answer::Failed { key, .. } => Outcome { returncode: "FAILED", message_key: key },
    };
    (Extension(outcome), [(CONTENT_TYPE, XML)], answer.to_xml()).into_response()
}

const XML: &str = "text/xml; charset=utf-8";

/// What an answer in XML says, for counting.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    returncode: &'static str,
    message_key: &'static str,
}

impl Outcome {
    const SUCCESS: Self = Self { returncode: "SUCCESS", message_key: "" };
}
