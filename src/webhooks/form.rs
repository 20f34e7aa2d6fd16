//! How text stands in a form (`application/x-www-form-urlencoded`). Pure.
//!
//! Most bytes of an event are of the kind that is written as three, each by itself. The general encoder takes longer for
//! them than the checksum of the whole.

/// What stands for each byte, and how many of the three bytes that are.
static ENCODED: [([u8; 3], usize); 256] = {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut table = [([0; 3], 0); 256];
    let mut place = 0;
    while place < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let byte = place as u8;
        table[place] = match byte {
            b' ' => ([b'+', 0, 0], 1),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => ([byte, 0, 0], 1),
            _ => ([b'%', HEX[place >> 4], HEX[place & 15]], 3),
        };
        place += 1;
    }
    table
};

/// Writes text as a form has it to the end of a form.
pub(super) fn append(form: &mut Vec<u8>, text: &str) {
    let mut end = form.len();
    form.resize(end + 3 * text.len(), 0);
    for byte in text.bytes() {
        let (encoded, length) = &ENCODED[usize::from(byte)];
        form[end..end + 3].copy_from_slice(encoded);
        end += length;
    }
    form.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_stands_as_the_standard_has_it() {
        let all: String = (0..=char::MAX as u32).step_by(7).chain(0..0x800).filter_map(char::from_u32).collect();
        for text in ["", "a", " ", "é😀", &all] {
            let mut form = b"domain=".to_vec();
            append(&mut form, text);
            let expected: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            assert_eq!(String::from_utf8(form).unwrap(), format!("domain={expected}"));
        }
    }
}
