//! Names of queries that are encrypted at one place and decrypted at another.

use cipherfn_protocol::message::Nonce;
use std::fmt;
use std::str::FromStr;

/// What binds a reply to its query: the query's nonce and its number of rows. A key ring remembers them of its own
/// queries; of one under a public key whoever encrypted it tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueryId {
    pub(crate) nonce: Nonce,
    pub(crate) rows: u64,
}

impl fmt::Display for QueryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.nonce, self.rows)
    }
}

impl FromStr for QueryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.trim().split_once('-');
        let read = parts.and_then(|(nonce, rows)| {
            let id = Self {
                nonce: nonce.parse().ok()?,
                rows: rows.parse().ok()?,
            };
            // Numbers are read with a sign and leading zeros as well, which are never shown.
            (id.rows.to_string() == rows).then_some(id)
        });
        read.ok_or_else(|| {
            "the id of a query is 32 hexadecimal digits, a hyphen and the number of its rows, as encrypt --public-key has shown it".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::QueryId;

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let text = "0123456789abcdef0123456789abcdef-30";
        let id: QueryId = text.parse().unwrap();
        assert_eq!((id.rows, id.to_string()), (30, text.to_owned()));
        let nonce = &text[..32];
        for bad in [
            nonce.to_owned(),
            format!("{nonce}-"),
            format!("{nonce}--3"),
            format!("{nonce}-+3"),
            format!("{nonce}-03"),
            format!("{nonce}- 3"),
            format!("{}-3", &nonce[1..]),
            format!("{nonce}-99999999999999999999"),
            String::new(),
        ] {
            let error = bad.parse::<QueryId>().unwrap_err();
            assert!(error.contains("number of its rows"), "{bad}");
        }
    }
}
