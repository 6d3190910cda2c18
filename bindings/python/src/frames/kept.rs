//! Frames that a service keeps.

use super::schema::FrameSchema;
use crate::error::{Failure, Result};
use crate::service::{Service, json};
use crate::wait::{Stop, Waiting};
use cipherfn_client_http::KeyRing;
use cipherfn_frame::file::FileHead;
use cipherfn_frame::kept::{find, head};
use cipherfn_protocol::api::frames::{FrameId, FrameStatus};
use cipherfn_scheme::parameters::ParameterSet;
use pyo3::prelude::*;
use std::sync::Arc;

/// What is public of a frame that a service keeps.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct KeptFrame {
    pub(super) id: FrameId,
    pub(super) head: Arc<FileHead>,
    pub(super) rows: usize,
}

#[pymethods]
impl KeptFrame {
    /// The frame of a name or an id.
    #[staticmethod]
    #[pyo3(signature = (service, name, tell=None, stop=None))]
    fn find(
        py: Python<'_>,
        service: &Service,
        name: String,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let (connection, watch) = service.open();
        let ring = service.ring.clone();
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            let list = connection.frames().await?.frames;
            let id = find(&list, &name, ring.name_hasher()?.as_ref())?.frame;
            Self::of(&connection.frame(id).await?, &ring)
        })
    }

    #[getter]
    fn id(&self) -> String {
        self.id.to_string()
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
}

impl KeptFrame {
    pub(super) fn of(status: &FrameStatus, ring: &KeyRing) -> Result<Self> {
        let (head, rows) = head(status)?;
        Ok(Self {
            id: status.frame,
            head: Arc::new(head.revealed_said(ring.name_hasher()?.as_ref())?),
            rows,
        })
    }
}

/// The frames that a service keeps for the caller, as JSON.
#[pyfunction]
#[pyo3(signature = (service, tell=None, stop=None))]
pub(crate) fn list_frames(
    py: Python<'_>,
    service: &Service,
    tell: Option<Bound<'_, PyAny>>,
    stop: Option<Bound<'_, Stop>>,
) -> PyResult<String> {
    let (connection, watch) = service.open();
    let ring = service.ring.clone();
    let waiting = Waiting { py, tell, stop };
    waiting.request(&watch, move || async move {
        let mut list = connection.frames().await?;
        if let Some(hasher) = ring.name_hasher()? {
            for frame in &mut list.frames {
                frame.name = hasher.shown(&frame.name);
            }
        }
        json(&list)
    })
}

/// Deletes a frame from a service, by its id.
#[pyfunction]
#[pyo3(signature = (service, frame, tell=None, stop=None))]
pub(crate) fn delete_frame(
    py: Python<'_>,
    service: &Service,
    frame: &str,
    tell: Option<Bound<'_, PyAny>>,
    stop: Option<Bound<'_, Stop>>,
) -> PyResult<()> {
    let frame: FrameId = frame
        .parse()
        .map_err(|error| Failure::Argument(format!("frame {frame:?}: {error}")))?;
    let (connection, watch) = service.open();
    let waiting = Waiting { py, tell, stop };
    waiting.request(&watch, move || async move {
        Ok(connection.delete_frame(frame).await?)
    })
}

/// Registers the evaluation key of a ring, which has to be that of a frame.
pub(super) async fn register(
    connection: &cipherfn_client_http::Service,
    ring: &KeyRing,
    head: &FileHead,
) -> Result<()> {
    let set = ParameterSet::by_tag(head.parameter_set, "data frame")?;
    require_key(&ring.secret_key(set)?, head)?;
    connection.register_for_frames(ring, set, |_| ()).await?;
    Ok(())
}

/// That a frame is encrypted under a key.
pub(super) fn require_key(secret: &cipherfn_scheme::SecretKey, head: &FileHead) -> Result<()> {
    if secret.id() == head.key {
        return Ok(());
    }
    Err(Failure::Named {
        class: "KeysError",
        message: format!(
            "frame {:?} is encrypted under key {}, the keys at hand are {}",
            head.schema.name(),
            head.key,
            secret.id()
        ),
        remedy: Some(
            "encrypt it with the keys= of the client, or use the client and the keys that it was encrypted with"
                .into(),
        ),
    })
}
