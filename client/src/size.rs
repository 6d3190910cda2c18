//! How large queries and replies are, which the number of rows alone decides.

use crate::client::Client;
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::message::{HEAD_LEN, MAX_FAILURE, MAX_HEAD_LEN, TARGET_CHUNK, TARGET_ROWS};
use cipherfn_scheme::query::GroupForm;

impl Client {
    /// Rows of a chunk of a long query: whole groups.
    pub fn rows_a_chunk(&self) -> usize {
        self.rows_a_chunk_of(self.group)
    }

    /// The same of groups of this form.
    pub(crate) fn rows_a_chunk_of(&self, group: GroupForm) -> usize {
        let most = (TARGET_ROWS / group.rows).max(1);
        let bytes = self.group_bytes(group).max(1);
        (TARGET_CHUNK / bytes).clamp(1, most) * group.rows
    }

    /// Rows that share ciphertexts in a query of many rows; 1 where none do.
    pub fn rows_a_group(&self) -> usize {
        self.group.rows
    }

    /// Bytes of a query of `rows` rows.
    pub fn query_bytes(&self, rows: usize) -> usize {
        self.query_bytes_of((self.single(), self.group), rows)
    }

    /// The same of a row alone and of groups of these forms.
    pub(crate) fn query_bytes_of(
        &self,
        (single, group): (GroupForm, GroupForm),
        rows: usize,
    ) -> usize {
        let form = if rows > 1 { group } else { single };
        let groups = (rows / form.rows) * self.group_bytes(form);
        let last = match rows % form.rows {
            0 => 0,
            rows => self.group_bytes(GroupForm { rows, ..form }),
        };
        let head = if form.rows > 1 {
            MAX_HEAD_LEN
        } else {
            HEAD_LEN
        };
        rows.div_ceil(self.rows_a_chunk_of(group)) * (HEADER_LEN + head) + groups + last
    }

    /// Bytes of the reply to a query of `rows` rows that all have an answer, if it comes in as many
    /// chunks.
    pub fn reply_bytes(&self, rows: usize) -> usize {
        self.reply_with(rows, 1, self.rows_a_chunk())
    }

    /// Most rows whose query and whose reply take at most so many bytes, even if every row fails
    /// with the longest explanation; 0 if not even one does.
    pub fn rows_within(&self, query: usize, reply: usize) -> usize {
        // A service may cut the reply as the query is cut, or as replies of files are.
        let outcome = MAX_FAILURE.max(1 + self.reply_row_bytes());
        let chunk = self
            .rows_a_chunk()
            .min((TARGET_CHUNK / outcome).clamp(1, TARGET_ROWS));
        let fits = |rows: usize| {
            self.query_bytes(rows) <= query && self.reply_with(rows, MAX_FAILURE, chunk) <= reply
        };
        // Sizes grow with the rows, but for the step from one to two, which may share.
        let (mut most, mut too_many) = (usize::from(fits(1)), query + 1);
        while most > 0 && too_many - most > 1 {
            let middle = most.midpoint(too_many);
            if fits(middle) {
                most = middle;
            } else {
                too_many = middle;
            }
        }
        most
    }

    /// Bytes of a reply whose rows take at least `outcome` bytes, in chunks of `chunk` rows.
    fn reply_with(&self, rows: usize, outcome: usize, chunk: usize) -> usize {
        let packed = self.packed().filter(|packed| packed.saves(rows));
        let head = HEADER_LEN + HEAD_LEN;
        let bytes = |rows: usize| match packed {
            Some(packed) => head + packed.bytes(rows) + rows * outcome,
            None => head + rows * outcome.max(1 + self.reply_row_bytes()),
        };
        let last = match rows % chunk {
            0 => 0,
            rows => bytes(rows),
        };
        (rows / chunk) * bytes(chunk) + last
    }

    /// A row alone.
    pub(crate) fn single(&self) -> GroupForm {
        GroupForm::single(self.parameter_set())
    }

    /// Bytes of the rows of a group.
    pub(crate) fn group_bytes(&self, form: GroupForm) -> usize {
        let parts = self.queries.iter().map(|shape| shape.group_bytes(form));
        parts.sum()
    }
}
