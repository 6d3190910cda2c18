//! Changes to good files.

/// Numbers at which decoders tend to err.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];
/// Texts at which decoders of text tend to err.
const TEXTS: [&str; 12] = [
    "-1",
    "1e999",
    "NaN",
    "-0",
    "1e-999",
    "null",
    "[",
    "{",
    "\"",
    ",",
    "\n",
    "99999999999999999999",
];
/// Longest file, in bytes: a mutation that grows is cut here.
const LONGEST: usize = 4 << 20;

/// A source of changed files; the same seed gives the same ones.
pub struct Mutator(u64);

impl Mutator {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Changes bytes in one to eight ways; `other` is a file to take pieces from.
    pub fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(8) {
            self.change_once(bytes, other);
        }
        bytes.truncate(LONGEST);
    }

    fn change_once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        if bytes.is_empty() {
            bytes.extend_from_slice(other);
            return;
        }
        let at = self.place(bytes.len());
        match self.below(9) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.word() as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = at + self.below(64).min(bytes.len() - at);
                bytes.drain(at..end);
            }
            4 => {
                let end = at + self.below(64).min(bytes.len() - at);
                let piece = bytes[at..end].to_vec();
                let times = 1 + self.below(16);
                bytes.splice(at..at, piece.repeat(times));
            }
            5 => {
                let number = NUMBERS[self.below(NUMBERS.len())].to_le_bytes();
                let width = (1 << self.below(4)).min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            6 => {
                let text = TEXTS[self.below(TEXTS.len())].as_bytes();
                bytes.splice(at..at, text.iter().copied());
            }
            7 => self.replace_number(bytes, at),
            _ => {
                let from = self.below(other.len().max(1)).min(other.len());
                let end = from + self.below(256).min(other.len() - from);
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }

    /// Writes another number in place of the next one in a text.
    fn replace_number(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = bytes[at..].iter().position(digit) else {
            return;
        };
        let start = at + start;
        let len = bytes[start..].iter().take_while(|byte| digit(byte)).count();
        let text = if self.below(2) == 0 {
            NUMBERS[self.below(NUMBERS.len())].to_string()
        } else {
            TEXTS[self.below(TEXTS.len())].to_owned()
        };
        bytes.splice(start..start + len, text.into_bytes());
    }

    /// A place in a file of `len` bytes: every second time near its start, where heads are.
    fn place(&mut self, len: usize) -> usize {
        let reach = if self.below(2) == 0 {
            len.min(256)
        } else {
            len
        };
        self.below(reach)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014).
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
