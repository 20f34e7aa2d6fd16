//! What the documents work out, and what they copy from other files.

use sha2::Digest;
use sha2::Sha256;

use crate::read;

#[test]
fn the_checksums_of_the_api_are_right() {
    let document = read("docs/api.md");
    let (_, table) = document.split_once("| call | query | what is hashed | checksum |\n").unwrap();
    let rows: Vec<_> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 1, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, call, query, hashed, checksum, _] = cells[..] else { panic!("{row}") };
        let query = if query == "none" { "" } else { query };
        assert_eq!(hashed, format!("{call}{query}my-secret"));
        assert_eq!(checksum, hex::encode(Sha256::digest(hashed)));
    }
}

#[test]
fn the_location_for_nginx_is_that_of_the_package() {
    let shown = read("docs/install.md");
    let (_, shown) = shown.split_once("```nginx\n").unwrap();
    assert_eq!(shown.split("```").next().unwrap(), read("debian/webhooks.nginx"));
}
