//! Names of frames and columns and texts of dictionaries as keyed hashes: what whoever evaluates sees of
//! them.
//!
//! ```text
//! token = "~" + 20 hexadecimal digits: the first 80 bits of BLAKE3, keyed with the secret, of
//!         what it names (1: a frame 1, a column 2, a text 3), and its bytes
//! ```
//!
//! Equal texts have equal tokens wherever they stand, so that dictionaries stay joinable; nobody without
//! the secret can try guesses. A schema that was [hashed](NameHasher::hash) keeps its names here, and gives
//! away tokens: [`Schema::to_json`], from which files and requests are made, writes nothing else.

use super::{Column, Domain, LookupIndex, NameForm, Schema, SchemaError};
use cipherfn_protocol::hash::NamesId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a secret.
pub const SECRET_LEN: usize = 32;
/// Bytes of a hash that a token keeps. Of a dictionary of 2^16 texts two meet by chance with probability
/// 2^-49, and that is found out before anything is encrypted.
const TOKEN_BYTES: usize = 10;
/// How tokens begin.
const MARK: char = '~';
/// Bytes of a token.
const TOKEN_LEN: usize = 1 + 2 * TOKEN_BYTES;
/// What secrets are for, and nothing else.
const CONTEXT: &str = "cipherfn 2026 names and texts of encrypted data frames, format 1";

/// What is hashed, so that a frame, a column and a text of one name have different tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// The secret's own id.
    Secret = 0,
    Frame = 1,
    Column = 2,
    Text = 3,
}

/// Hashes names, and knows some by their hashes. It has a secret, which goes nowhere.
#[derive(Clone)]
pub struct NameHasher {
    key: Arc<Zeroizing<[u8; blake3::KEY_LEN]>>,
    id: NamesId,
    /// Names by their tokens.
    known: Arc<HashMap<String, String>>,
    /// Frames whose names are in the clear.
    clear: Arc<BTreeSet<String>>,
}

/// Names that hashes are known of, as a document that stays with the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownNames {
    /// Of frames.
    pub frames: BTreeSet<String>,
    /// Of columns.
    pub columns: BTreeSet<String>,
    /// Texts of dictionaries.
    pub texts: BTreeSet<String>,
    /// Frames whose names were not hashed, by their names: what is known of them is known to whoever keeps
    /// them, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clear: BTreeSet<String>,
}

/// What is sent of a schema whose names are hashed, and by what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// With tokens in place of names and texts.
    pub(crate) schema: Schema,
    /// Makes them.
    pub(crate) hasher: NameHasher,
}

impl fmt::Debug for NameHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameHasher({}, its secret is not shown)", self.id)
    }
}

/// Of one secret.
impl PartialEq for NameHasher {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for NameHasher {}

impl KnownNames {
    /// Those of a schema.
    pub fn of(schema: &Schema) -> Self {
        let texts = |column: &Column| match &column.domain {
            Domain::Text { dictionary } => dictionary.clone(),
            _ => Vec::new(),
        };
        let columns = schema.columns().iter();
        Self {
            frames: BTreeSet::from([schema.name().to_owned()]),
            columns: columns.clone().map(|column| column.name.clone()).collect(),
            texts: columns.flat_map(texts).collect(),
            clear: BTreeSet::new(),
        }
    }

    /// Those of a frame that is kept with its names in the clear.
    pub fn in_the_clear(frame: &str) -> Self {
        Self {
            clear: BTreeSet::from([frame.to_owned()]),
            ..Self::default()
        }
    }

    /// Takes others in; whether any was new.
    pub fn extend(&mut self, others: Self) -> bool {
        let count = |own: &Self| {
            let sets = [&own.frames, &own.columns, &own.texts, &own.clear];
            sets.map(BTreeSet::len).iter().sum::<usize>()
        };
        let before = count(self);
        self.frames.extend(others.frames);
        self.columns.extend(others.columns);
        self.texts.extend(others.texts);
        self.clear.extend(others.clear);
        count(self) > before
    }
}

impl NameHasher {
    /// By a secret of random bytes.
    ///
    /// # Errors
    /// Two of the names that are known have one hash.
    pub fn new(secret: &[u8; SECRET_LEN], known: KnownNames) -> Result<Self, SchemaError> {
        let mut hasher = Self {
            key: Arc::new(Zeroizing::new(blake3::derive_key(CONTEXT, secret))),
            id: NamesId::from_bytes([0; 8]),
            known: Arc::default(),
            clear: Arc::new(known.clear),
        };
        hasher.id = NamesId::from_bytes(hasher.bytes(TokenKind::Secret, ""));
        let mut tokens = HashMap::new();
        for (kind, names) in [
            (TokenKind::Frame, known.frames),
            (TokenKind::Column, known.columns),
            (TokenKind::Text, known.texts),
        ] {
            for name in names {
                let token = hasher.token(kind, &name);
                if let Some(other) = tokens.insert(token, name.clone()) {
                    return Err(collision(&other, &name));
                }
            }
        }
        hasher.known = Arc::new(tokens);
        Ok(hasher)
    }

    /// Names its secret.
    pub const fn id(&self) -> NamesId {
        self.id
    }

    /// What a frame of this name is called where its names are hashed.
    pub fn frame(&self, name: &str) -> String {
        self.token(TokenKind::Frame, name)
    }

    /// The schema with its names, of which hashes are sent.
    ///
    /// # Errors
    /// Two names, or two texts of a dictionary, that have one hash; names that are hashes.
    pub fn hash(&self, schema: &Schema) -> Result<Schema, SchemaError> {
        if !matches!(schema.names, NameForm::Clear | NameForm::ToHash) {
            let problem = "names a secret: its names are hashes already, or are about to be; give the schema with the names themselves";
            return Err(SchemaError::frame("names", problem));
        }
        let own = KnownNames::of(schema);
        for (kind, names) in [
            (TokenKind::Frame, &own.frames),
            (TokenKind::Column, &own.columns),
            (TokenKind::Text, &own.texts),
        ] {
            let mut tokens = HashMap::new();
            for name in names {
                let token = self.token(kind, name);
                let known = self.known.get(&token).filter(|known| *known != name);
                let other = tokens.insert(token, name);
                if let Some(other) = known.or(other) {
                    return Err(collision(other, name));
                }
            }
        }
        let mut sent = mapped(schema, &|kind, name| self.token(kind, name));
        sent.names = NameForm::Hashed(self.id);
        Ok(self.revealed(schema.clone(), sent))
    }

    /// The schema of a frame as it came, with its names as far as they are known. One of another secret,
    /// or without hashes, stays as it is.
    pub fn reveal(&self, sent: &Schema) -> Schema {
        if sent.names != NameForm::Hashed(self.id) {
            return sent.clone();
        }
        let known = |_: TokenKind, token: &str| {
            let name = self.known.get(token);
            name.map_or_else(|| token.to_owned(), Clone::clone)
        };
        self.revealed(mapped(sent, &known), sent.clone())
    }

    /// The schema of a frame as a service says it, with its names as [`Self::reveal`] has them. Of names in the
    /// clear a plan is sent with its own: a service that said a guessed schema of a hashed frame would be
    /// told which of its guesses were right, and what the plan asks for.
    ///
    /// # Errors
    /// Names in the clear of a frame that was hashed, or of columns that were where this is no frame that is
    /// known to be kept in the clear.
    pub fn reveal_said(&self, said: &Schema) -> Result<Schema, SchemaError> {
        if matches!(said.names, NameForm::Hashed(_)) {
            return Ok(self.reveal(said));
        }
        let is_known = |kind, name: &str| self.known.contains_key(&self.token(kind, name));
        let frame = said.name();
        // Who has the secret hashes names, and without those that were hashed cannot tell a guessed schema from
        // that of a frame which never was.
        if self.known.is_empty() && !self.clear.contains(frame) {
            let problem = format!(
                "are in the clear for frame {frame:?}, and the key ring has a secret for names (names.key) and knows none that were hashed by it, so that whoever answers could find out by guesses: copy names.json beside it from the key ring that the secret is of, or tell it the names (frame show FRAME --keys KEYS --schema THEIRS.toml); encrypt or upload the frame with this key ring if its names may be seen"
            );
            return Err(SchemaError::frame("names", problem));
        }
        if is_known(TokenKind::Frame, frame) {
            let problem = format!(
                "are in the clear for frame {frame:?}, and the key ring has hashed them: the service says another schema than it was given, or the frame was uploaded once more without hashes. A plan would tell it the names; delete that frame, or ask by a copy of the key ring without names.key if its names may be seen"
            );
            return Err(SchemaError::frame("names", problem));
        }
        let mut columns = said.columns().iter().map(|column| &column.name);
        let hashed = columns.find(|name| is_known(TokenKind::Column, name));
        match hashed.filter(|_| !self.clear.contains(frame)) {
            Some(column) => {
                let problem = format!(
                    "are in the clear for frame {frame:?}, which has a column {column:?}, and the key ring has hashed columns of that name; hash those of this frame, too (frame encrypt --hash-names), or encrypt or upload it with this key ring, which remembers then that they may be seen"
                );
                Err(SchemaError::frame("names", problem))
            }
            None => Ok(said.clone()),
        }
    }

    /// A text for people, such as what a service says, with names in place of their tokens.
    pub fn shown(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(place) = rest.find(MARK) {
            let (before, from) = rest.split_at(place);
            shown.push_str(before);
            let token = from.get(..TOKEN_LEN).unwrap_or(&from[..1]);
            shown.push_str(self.known.get(token).map_or(token, String::as_str));
            rest = &from[token.len()..];
        }
        shown.push_str(rest);
        shown
    }

    fn revealed(&self, mut schema: Schema, sent: Schema) -> Schema {
        schema.names = NameForm::Revealed(Box::new(Sent {
            schema: sent,
            hasher: self.clone(),
        }));
        schema
    }

    pub(crate) fn token(&self, kind: TokenKind, name: &str) -> String {
        let bytes: [u8; TOKEN_BYTES] = self.bytes(kind, name);
        let mut token = String::with_capacity(TOKEN_LEN);
        token.push(MARK);
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                token.extend(char::from_digit(digit.into(), 16));
            }
        }
        token
    }

    fn bytes<const N: usize>(&self, kind: TokenKind, name: &str) -> [u8; N] {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        hash.update(&[kind as u8]).update(name.as_bytes());
        let mut bytes = [0; N];
        hash.finalize_xof().fill(&mut bytes);
        bytes
    }
}

impl Schema {
    /// What is sent of it: itself, or what its names became.
    pub const fn as_sent(&self) -> &Self {
        match &self.names {
            NameForm::Revealed(sent) => &sent.schema,
            NameForm::Clear | NameForm::ToHash | NameForm::Hashed(_) => self,
        }
    }

    /// What hashes its names, where that is at hand.
    pub const fn hasher(&self) -> Option<&NameHasher> {
        match &self.names {
            NameForm::Revealed(sent) => Some(&sent.hasher),
            NameForm::Clear | NameForm::ToHash | NameForm::Hashed(_) => None,
        }
    }
}

/// A schema with other names; look-ups follow their columns.
fn mapped(schema: &Schema, name: &dyn Fn(TokenKind, &str) -> String) -> Schema {
    let columns = |names: &[String]| -> Vec<String> {
        let each = names.iter().map(|own| name(TokenKind::Column, own));
        each.collect()
    };
    let mut other = schema.clone();
    other.name = name(TokenKind::Frame, &schema.name);
    for column in &mut other.columns {
        column.name = name(TokenKind::Column, &column.name);
        if let Domain::Text { dictionary } = &mut column.domain {
            for text in dictionary {
                *text = name(TokenKind::Text, text);
            }
        }
    }
    let lookups = schema.lookups.iter().map(|lookup| LookupIndex {
        by: columns(&lookup.by),
        columns: columns(&lookup.columns),
        duplicates: lookup.duplicates,
        rows: lookup.rows,
    });
    other.lookups = lookups.collect();
    other
}

fn collision(one: &str, other: &str) -> SchemaError {
    SchemaError::frame(
        "hash-names",
        format!(
            "gives {one:?} and {other:?} one hash; change one of them, or let another secret hash them (remove names.key from the key ring and encrypt all frames anew)"
        ),
    )
}

#[cfg(test)]
mod tests;
