//! Encrypted frames in memory, as their files are.

use super::cells::cells;
use super::kept::{KeptFrame, register};
use super::keys::FrameKeys;
use super::schema::FrameSchema;
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::table::Table;
use crate::wait::{Stop, Waiting};
use cipherfn_client::frames::{EncryptedFile, Tables};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_frame::pieces::Pieces;
use cipherfn_frame::schema::NameForm;
use cipherfn_protocol::api::frames::GadgetDocument;
use cipherfn_protocol::specs::Gadget;
use cipherfn_serving::frames::StoredFrame;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io::Cursor;
use std::sync::Arc;

/// An encrypted frame.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct Frame {
    bytes: Arc<Vec<u8>>,
    pub(super) head: Arc<FileHead>,
    pub(super) rows: usize,
}

/// How a frame is encrypted.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Encryption {
    gadget: (u32, u32),
    pad_to: Option<u64>,
    hash_names: bool,
}

#[pymethods]
impl Frame {
    /// Encrypts a table by a schema.
    #[staticmethod]
    #[pyo3(signature = (table, schema, keys, settings, tell=None, stop=None))]
    fn encrypt(
        py: Python<'_>,
        table: &Table,
        schema: &FrameSchema,
        keys: &FrameKeys,
        settings: Encryption,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let batches = table.batches()?;
        let (schema, keys) = (schema.in_names()?, keys.clone());
        let (base_log, levels) = settings.gadget;
        let gadget = Gadget::try_from(GadgetDocument { base_log, levels });
        let gadget = gadget.map_err(|error| {
            Failure::Argument(format!("gadget=({base_log}, {levels}): {error}"))
        })?;
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let columns = schema.columns().iter();
            let names: Vec<String> = columns.map(|column| column.name.clone()).collect();
            let lookups = schema.lookups().iter();
            let mut tables: Vec<Tables<'_>> =
                lookups.map(|lookup| Tables::new(&schema, lookup)).collect();
            // Tables of look-ups come first in the file. A row takes far less here than encrypted.
            let mut rows: Vec<Units> = Vec::new();
            let count = cells(batches, &names, watch, |number, row| {
                let row = schema.row_of_values(number, row)?;
                for table in &mut tables {
                    table.add(&row)?;
                }
                rows.push(row);
                Ok(())
            })?;
            let size = schema.rows().holding(count, settings.pad_to)?;
            let mut whole = schema.clone().with_rows(size);
            if settings.hash_names {
                whole = whole.to_be_hashed();
            }
            match whole.names() {
                NameForm::ToHash => whole = keys.hash_names(&whole)?,
                NameForm::Clear => keys.keep_clear(whole.name())?,
                NameForm::Hashed(_) | NameForm::Revealed(_) => {}
            }
            let mut file =
                EncryptedFile::new(Vec::new(), &keys.secret, &whole, gadget, &[], tables)?;
            for row in rows {
                watch.check()?;
                file.row(row)?;
                watch.add(1);
            }
            Self::read(file.finish()?, &keys)
        })
    }

    /// From the bytes of a file; hashed names are those that the keys' ring knows.
    #[staticmethod]
    fn from_bytes(bytes: Vec<u8>, keys: &FrameKeys) -> PyResult<Self> {
        Ok(Self::read(bytes, keys)?)
    }

    /// The file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    #[getter]
    fn schema(&self) -> FrameSchema {
        FrameSchema(self.head.schema.clone())
    }

    #[getter]
    fn rows(&self) -> usize {
        self.rows
    }

    /// Names the key that it is encrypted under.
    #[getter]
    fn key(&self) -> String {
        self.head.key.to_string()
    }

    /// Lets a service keep it.
    #[pyo3(signature = (service, tell=None, stop=None))]
    fn upload(
        &self,
        py: Python<'_>,
        service: &Service,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<KeptFrame> {
        let (connection, watch) = service.open();
        let (ring, own) = (service.ring.clone(), self.clone());
        let waiting = Waiting { py, tell, stop };
        let told = watch.clone();
        waiting.request(&watch, move || async move {
            let reader = FrameReader::open(Cursor::new(own.bytes.as_slice()))?;
            let mut cutter = Pieces::new(reader, own.bytes.len() as u64);
            let mut pieces = Vec::new();
            while let Some(piece) = cutter.next_piece()? {
                pieces.push(piece);
            }
            if *own.head.schema.names() == NameForm::Clear {
                ring.keep_clear(own.head.schema.name())?;
            }
            register(&connection, &ring, &own.head).await?;
            let of = pieces.iter().map(|piece| piece.len() as u64).sum();
            let uploaded = connection.upload_frame(pieces.into_iter(), |bytes| told.set(bytes, of));
            KeptFrame::of(&uploaded.await?, &ring)
        })
    }
}

impl Frame {
    /// Reads all of a file, so that it is known to be whole.
    fn read(bytes: Vec<u8>, keys: &FrameKeys) -> Result<Self> {
        let mut reader = FrameReader::open(Cursor::new(bytes.as_slice()))?;
        let mut rows = 0;
        while let Some(more) = reader.next_rows()? {
            rows += more.rows as usize;
        }
        let head = Arc::new(keys.revealed(reader.head().clone())?);
        Ok(Self {
            bytes: Arc::new(bytes),
            head,
            rows,
        })
    }

    /// As whoever evaluates has it.
    pub(super) fn stored(&self) -> Result<StoredFrame> {
        let mut reader = FrameReader::open(Cursor::new(self.bytes.as_slice()))?;
        Ok(StoredFrame::read(&mut reader)?)
    }
}
