//! What is configured.

use std::path::PathBuf;
use std::sync::LazyLock;

use crate::config;
use crate::config::Sources;
use crate::connection;
use crate::delivery::policy::Policy;
use crate::event::RawMessage;
use crate::mapper::Mapper;
use crate::state::State;
use crate::webhooks::address::Address;
use crate::webhooks::callback::CallbackBuilder;
use crate::xapi::credentials::Lrs;

/// A secret that no input has by chance.
const HIDDEN: &str = "not-to-be-shown";

/// The configuration: the first line says whether the rest is the file `local.yml`, BigBlueButton's properties, `NODE_CONFIG`,
/// or the value of the variable that it names. What is right is put to use.
pub fn configuration(data: &[u8]) {
    let (first, rest) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let text = String::from_utf8_lossy(rest).into_owned();
    let folder = folder();
    let (file, properties) = (folder.join("local.yml"), folder.join("bbb-web.properties"));
    let mut environment = vec![("SHARED_SECRET".to_owned(), HIDDEN.to_owned())];
    match first {
        b"file" => std::fs::write(&file, rest).expect("there is a disk"),
        b"properties" => {
            environment.clear();
            std::fs::write(&properties, rest).expect("there is a disk");
        }
        name => environment.push((String::from_utf8_lossy(name).into_owned(), text.trim().to_owned())),
    }
    if first != b"properties" {
        environment.insert(0, ("SERVER_DOMAIN".to_owned(), "bbb.example.org".to_owned()));
    }
    let environment = environment.into_iter().collect();
    let sources = Sources {
        folders: vec![folder.clone()],
        environment,
        properties: vec![properties.clone()],
        ..Sources::default()
    };
    if let Ok((loaded, explained)) = config::load_explained(&sources) {
        let config = loaded.config;
        let _ = Policy::of_callbacks(&config);
        let shown: String = explained.settings.iter().map(|setting| setting.value.to_string()).collect();
        assert!(config.bbb.shared_secret.expose() != HIDDEN || !shown.contains(HIDDEN), "the secret is masked");
        let _ = Lrs::of_configuration(&config.xapi);
        for server in [&config.redis, &config.input.redis] {
            let _ = connection::client(server).map(|client| connection::display(&client));
        }
        let builder = CallbackBuilder::new(&config.bbb, &config.hooks);
        for hook in &config.hooks.permanent {
            let _ = Address::new(&hook.url).map(|address| builder.build(&address, &["{}"], 1));
        }
        map_with(&Mapper::new(&config.events), config.events.iter().map(|event| event.message.as_str()));
    }
    for file in [file, properties] {
        let _ = std::fs::remove_file(file);
    }
}

/// Maps a message of each of the names.
fn map_with<'a>(mapper: &Mapper, names: impl Iterator<Item = &'a str>) {
    let mut state = State::new(fastrand::Rng::with_seed(1));
    for name in names {
        let message = serde_json::json!({
            "envelope": {"name": name},
            "core": {"header": {"name": name, "meetingId": "i", "userId": "w"}, "body": {"a": [1, {"b": null}], "": "x"}},
        });
        let raw = RawMessage { bytes: message.to_string().into() };
        let _ = mapper.explain(&raw);
        let _ = mapper.map(&raw, &mut state, 1);
    }
}

/// A folder of this process's own.
fn folder() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join(format!("bbb-webhooks-fuzzing-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is a disk");
        folder
    });
    FOLDER.clone()
}
