//! The functions in `docs/callbacks.md` with which a receiver verifies.

use std::path::Path;

use crate::harness::Algorithm;
use crate::harness::SECRET;
use crate::harness::clean;
use crate::harness::hook_secret;
use crate::harness::interpreter;
use crate::harness::project;
use crate::harness::webhook_signature;

#[test]
fn the_documentation_shows_how_the_receivers_verify() {
    let read = |path: &str| std::fs::read_to_string(project().join(path)).unwrap();
    let document = read("docs/callbacks.md");
    for (language, receiver) in [
        ("python", "python/receiver.py"),
        ("php", "php/receiver.php"),
        ("js", "node/receiver.mjs"),
        ("rust", "rust/main.rs"),
    ] {
        let source = read(Path::new("examples/receivers").join(receiver).to_str().unwrap());
        let fence = format!("```{language}\n");
        let shown: Vec<_> = document.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
        assert_eq!(shown.len(), 2, "docs/callbacks.md has both ways in {language}");
        for shown in shown {
            assert!(source.contains(shown), "docs/callbacks.md and examples/receivers/{receiver} differ: {shown}");
        }
    }
}

/// What the functions in the documentation say of a callback that is signed by the key in each of these secrets.
fn verified(program: &str, arguments: &[&str], code: &str) -> Option<String> {
    let output = clean(interpreter(program)?).args(arguments).arg(code).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whoever takes only the functions is as safe from a placeholder that is left in, whose key everybody knows.
#[test]
fn the_functions_of_the_documentation_refuse_short_keys() {
    let document = std::fs::read_to_string(project().join("docs/callbacks.md")).unwrap();
    let shown = |language: &str| -> String {
        let fence = format!("```{language}\n");
        let blocks = document.split(&fence).skip(1);
        blocks.filter_map(|rest| rest.split("```").next()).collect()
    };
    let right = hook_secret(SECRET, "1");
    let signatures: Vec<_> = ["whsec_", "whsec_QUJD", &right]
        .map(|secret| format!("\"{}\"", webhook_signature(secret, "1_2_3", "1763990000", "event=x")))
        .into();
    let (signatures, empty) = (signatures.join(", "), Algorithm::Sha1.hex(&["url", "event=x", ""]));
    let secrets = format!("\"whsec_...\", \"whsec_\", \"\", \"whsec_QUJD\", \"{right}\"");
    let python = format!(
        "import base64, hashlib, hmac\n{}\nfor signature in [{signatures}]:\n    \
         print(int(is_signed('1_2_3', '1763990000', signature, b'event=x', [{secrets}], 1763990001)))\n\
         print(int(is_genuine('url', b'event=x', '{empty}', 'Bearer ', '')))\n",
        shown("python")
    );
    let php = format!(
        "{}\nforeach ([{signatures}] as $signature) {{\n    \
         echo (int) is_signed('1_2_3', '1763990000', $signature, 'event=x', [{secrets}], 1763990001), ' ';\n}}\n\
         echo (int) is_genuine('url', 'event=x', '{empty}', 'Bearer ', '');\n",
        shown("php")
    );
    let node = format!(
        "import {{ createHash, createHmac, timingSafeEqual }} from 'node:crypto';\n{}\n\
         for (const signature of [{signatures}]) \
         console.log(+isSigned('1_2_3', '1763990000', signature, 'event=x', [{secrets}], 1763990001));\n\
         console.log(+isGenuine('url', 'event=x', '{empty}', 'Bearer ', ''));\n",
        shown("js")
    );
    for (program, arguments, code) in
        [("python3", &["-c"][..], python), ("php", &["-r"], php), ("node", &["--input-type=module", "-e"], node)]
    {
        if let Some(said) = verified(program, arguments, &code) {
            assert_eq!(said, "0 0 1 0", "{program}");
        }
    }
}
