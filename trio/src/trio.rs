//! Three independent servers.

use crate::{Server, ServerOptions, ServerProgram, StartError};

/// Three servers that know nothing of each other.
#[derive(Debug)]
pub struct Trio {
    servers: [Server; 3],
}

impl Trio {
    /// Starts three throw-away servers on free ports.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(ServerOptions::default())
    }

    /// Starts three servers with the same options. A port is the first one's; the others take the two that follow.
    pub fn start_with(options: ServerOptions) -> Result<Self, StartError> {
        let program = options.program.map_or_else(ServerProgram::find, Ok)?;
        let options = ServerOptions { program: Some(program), ..options };
        let start = |index: u16| {
            let port = options.port.map(|first| first.saturating_add(index));
            Server::start(ServerOptions { port, ..options.clone() })
        };
        Ok(Self { servers: [start(0)?, start(1)?, start(2)?] })
    }

    /// Their URLs.
    #[must_use]
    pub fn urls(&self) -> [String; 3] {
        self.servers.each_ref().map(Server::url)
    }

    /// All three.
    #[must_use]
    pub fn servers(&self) -> &[Server; 3] {
        &self.servers
    }

    /// One of them, to be killed or restarted.
    ///
    /// # Panics
    ///
    /// If `index` is not 0, 1 or 2.
    pub fn server(&mut self, index: usize) -> &mut Server {
        &mut self.servers[index]
    }
}
