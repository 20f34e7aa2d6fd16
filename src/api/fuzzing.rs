//! What is made of a request, whatever it is: a target for fuzzing.

use axum::http::Request;

use crate::api::call::Call;
use crate::api::call::Signed;
use crate::api::call::canonical;
use crate::api::new_hook;
use crate::api::xml::Answer;
use crate::checksum::Algorithm;
use crate::checksum::api_call_is_signed;
use crate::checksum::masked;
use crate::checksum::mistakes;
use crate::event::HookId;
use crate::hook::Hook;

const API: &str = "/bigbluebutton/api";
const SECRET: &str = "hush";

/// All that is done with a call before its checksum is known to be right, and after.
pub(crate) fn take_apart<B>(request: Request<B>) {
    let request = canonical(request, API);
    let Some(Call { method, query }) = request.extensions().get() else { return };
    let signed = Signed::unchecked(query);
    let given = signed.get("checksum").unwrap_or_default();
    let _ = api_call_is_signed(method, query, given, SECRET, &Algorithm::ALL);
    let _ = masked::to_sign(method, query, &[SECRET]);
    // It costs much, and is bounded in the daemon as well.
    if query.len() < 200 {
        let _ = mistakes::find(mistakes::Call { api_path: API, method, query }, &[SECRET], &Algorithm::ALL);
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
            Answer::Listed(vec![&hook]).to_xml()
        }
        Err(failure) => Answer::Failed { key: failure.key, message: &failure.message }.to_xml(),
    };
    let mut reader = quick_xml::Reader::from_str(&text);
    while !matches!(reader.read_event().expect("an answer is XML"), quick_xml::events::Event::Eof) {}
}
