//! What is made of a request, whatever it is: for a target of fuzzing.

use std::net::Ipv4Addr;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use tower::util::ServiceExt;
use url::Url;

use crate::api::call::Call;
use crate::api::call::Signed;
use crate::api::call::canonical;
use crate::api::new_hook;
use crate::api::refusals;
use crate::api::router;
use crate::api::xml;
use crate::api::xml::Answer;
use crate::checksum::Algorithm;
use crate::checksum::api_call_is_signed;
use crate::checksum::masked;
use crate::checksum::mistakes;
use crate::checksum::signed_query;
use crate::config::Config;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::event::HookId;
use crate::hook::Hook;
use crate::server::Peer;
use crate::status::Observer;

/// A checksum that stands for the right one.
const RIGHT: &str = "checksum=@";

/// The API, less the listening.
pub(crate) struct Front {
    api_path: String,
    secret: String,
    guard: Guard,
    /// Gets each URL for which a hook would be created.
    to_be_called: fn(&str),
    router: Router,
}

impl Front {
    /// That of a daemon, which would call `to_be_called`.
    pub(crate) fn new(observer: Observer, config: &Config, to_be_called: fn(&str)) -> Self {
        Self {
            api_path: config.bbb.api_path.clone(),
            secret: config.bbb.shared_secret.expose().to_owned(),
            guard: Guard::new(Policy::of_callbacks(config)),
            to_be_called,
            router: router(observer, config),
        }
    }

    /// Answers a request, after all was done with it that is done before and after its checksum is known to be right.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let mut request = canonical(request.map(Body::new), &self.api_path);
        request.extensions_mut().insert(Peer::new((Ipv4Addr::LOCALHOST, 1).into()));
        if let Some(call) = request.extensions_mut().get_mut::<Call>() {
            self.sign(call);
            self.take_apart(call);
        }
        let (parts, body) = request.into_parts();
        let _ = refusals::client(&parts);
        match self.router.clone().oneshot(Request::from_parts(parts, body)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    /// Puts the right checksum where the call wants it.
    fn sign(&self, call: &mut Call) {
        if call.query.contains(RIGHT) {
            let signed = signed_query(&call.query);
            let parts = [call.method.as_str(), &signed, &self.secret].map(str::as_bytes);
            let right = format!("checksum={}", Algorithm::Sha256.hex_digest(&parts));
            call.query = call.query.replacen(RIGHT, &right, 1);
        }
    }

    fn take_apart(&self, Call { method, query }: &Call) {
        let secret = self.secret.as_str();
        let signed = Signed::unchecked(query);
        let given = signed.get("checksum").unwrap_or_default();
        let _ = api_call_is_signed(method, query, given, secret, &Algorithm::ALL);
        let _ = masked::to_sign(method, query, &[secret]);
        // It costs much, and is bounded in the daemon as well.
        if query.len() < 200 {
            let call = mistakes::Call { api_path: &self.api_path, method, query };
            let _ = mistakes::find(call, &[secret], &Algorithm::ALL);
        }
        let text = match new_hook(&signed) {
            Ok(new) => {
                let hook = Hook {
                    id: HookId::from("1"),
                    callback_url: new.callback_url,
                    meeting: new.meeting,
                    events: new.events,
                    permanent: false,
                    raw: new.raw,
                    created_ms: 0,
                };
                let _ = (hook.host(), hook.public_url());
                let url = Url::parse(&hook.callback_url).expect("it was parsed before");
                let _ = self.guard.judge_at_once(&url);
                (self.to_be_called)(&hook.callback_url);
                let pieces: Vec<_> = xml::list([&hook], 1).collect();
                String::from_utf8(pieces.concat()).expect("XML made of texts is text")
            }
            Err(failure) => Answer::Failed { key: failure.key, message: &failure.message }.to_xml(),
        };
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().expect("an answer is XML"), quick_xml::events::Event::Eof) {}
    }
}
