//! Random identifiers.

use std::fmt::Write as _;

/// `2 * bytes` hexadecimal digits from the system's generator.
pub(crate) fn hex(bytes: usize) -> String {
    to_hex(&random(bytes))
}

/// A random UUID, as AWS's request ids are.
pub(crate) fn uuid() -> String {
    let mut bytes = random(16);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = to_hex(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

/// A new trace id that is not sampled, as Lambda gives an invocation without one.
pub(crate) fn trace() -> String {
    format!("Root=1-{}-{};Sampled=0", hex(4), hex(12))
}

/// Lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn random(bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).expect("the system has a random number generator");
    buffer
}
