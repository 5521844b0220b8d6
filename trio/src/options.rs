//! What a server is started with, and the configuration written from it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{ServerProgram, StartError};

/// When the append-only file reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Once a second: a crash of the *machine* loses up to a second; a kill of the process loses nothing it answered.
    EverySecond,
    /// Before every reply.
    Always,
}

/// What of a server's data outlives its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    #[default]
    None,
    /// Everything in the append-only file.
    AppendOnly(Fsync),
}

/// What a server shows to clients that come with TLS, and asks of them: files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The key to it.
    pub key: PathBuf,
    /// The roots it trusts in clients' certificates.
    pub roots: PathBuf,
    /// Whether a client must have a certificate.
    pub client_certificates: bool,
}

/// How to start a [`Server`](crate::Server). The default is a throw-away server on a free port.
#[derive(Clone)]
pub struct ServerOptions {
    /// The program. Default: the one [`ServerProgram::find`] finds.
    pub program: Option<ServerProgram>,
    /// The loopback port. Default: a free one.
    pub port: Option<u16>,
    /// What outlives the process. Default: nothing.
    pub persistence: Persistence,
    /// Whether it listens with TLS too, on a second port, and as whom. Default: no.
    pub tls: Option<TlsFiles>,
    /// Further lines of the configuration, as name and value, written after the crate's own and winning over them.
    /// With `requirepass` here, [`url`](crate::Server::url) and [`command`](crate::Server::command) use that password.
    pub settings: Vec<(String, String)>,
    /// Whether it has a wall clock of its own, for [`step_clock`](crate::Server::step_clock) and
    /// [`set_clock_rate`](crate::Server::set_clock_rate). Linux only, and needs a C compiler (`cc`). Default: no.
    pub own_clock: bool,
    /// Variables added to the process's environment.
    pub env: Vec<(String, String)>,
    /// How long the process may take until it answers. Default: 10 s, for a slow machine that reads back its data.
    pub start_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            program: None,
            port: None,
            persistence: Persistence::None,
            tls: None,
            settings: Vec::new(),
            own_clock: false,
            env: Vec::new(),
            start_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerOptions {
    /// Adds one line of configuration: `options.setting("maxmemory", "1mb")`.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    pub(crate) fn password(&self) -> Option<&str> {
        let found = self.settings.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case("requirepass"));
        found.map(|(_, value)| value.trim_matches('"')).filter(|password| !password.is_empty())
    }

    /// The text of the configuration file. A file, because arguments would show a password to everybody's `ps`.
    pub(crate) fn config(&self, port: u16, tls_port: Option<u16>, data: &Path) -> Result<String, StartError> {
        let (append_only, fsync) = match self.persistence {
            Persistence::None => ("no", "no"),
            Persistence::AppendOnly(Fsync::EverySecond) => ("yes", "everysec"),
            Persistence::AppendOnly(Fsync::Always) => ("yes", "always"),
        };
        let port = port.to_string();
        let quoted = |path: &Path| format!("\"{}\"", path.display());
        let data = quoted(data);
        let tls = self.tls.iter().zip(tls_port).flat_map(|(files, port)| {
            let ask = if files.client_certificates { "yes" } else { "no" };
            [
                ("tls-port", port.to_string()),
                ("tls-cert-file", quoted(&files.certificate)),
                ("tls-key-file", quoted(&files.key)),
                ("tls-ca-cert-file", quoted(&files.roots)),
                ("tls-auth-clients", ask.to_owned()),
            ]
        });
        let tls: Vec<_> = tls.collect();
        let own = [
            // Nobody else on the network has any business here.
            ("bind", "127.0.0.1"),
            ("port", &port),
            // A child that turned itself into a daemon could neither be signalled nor waited for.
            ("daemonize", "no"),
            // Everything it writes goes into its own directory, which goes with it.
            ("dir", &data),
            // A snapshot brings back a state of minutes ago: expired leases would live again.
            ("save", "\"\""),
            ("appendonly", append_only),
            ("appendfsync", fsync),
            // An evicted lease is a vote given away.
            ("maxmemory-policy", "noeviction"),
        ];
        let theirs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));

        let mut text = String::new();
        let tls = tls.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.into_iter().chain(tls).chain(theirs) {
            if name.trim().is_empty() || name.contains(['\n', '\r']) || value.contains(['\n', '\r']) {
                return Err(StartError::Setting { name: name.to_owned() });
            }
            text.push_str(&format!("{name} {value}\n"));
        }
        Ok(text)
    }
}

// Values stay out: one of them may be a password.
impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("ServerOptions")
            .field("program", &self.program)
            .field("port", &self.port)
            .field("persistence", &self.persistence)
            .field("tls", &self.tls)
            .field("settings", &names(&self.settings))
            .field("own_clock", &self.own_clock)
            .field("env", &names(&self.env))
            .field("start_timeout", &self.start_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_settings_come_last_so_that_they_win() {
        let options = ServerOptions::default().setting("maxmemory-policy", "allkeys-lru");
        let config = options.config(7001, None, Path::new("/tmp/data")).unwrap();
        assert!(config.contains("bind 127.0.0.1\nport 7001\n"), "{config}");
        assert!(config.ends_with("maxmemory-policy allkeys-lru\n"), "{config}");
    }

    #[test]
    fn a_setting_cannot_smuggle_in_a_second_line() {
        for (name, value) in [("save", "\"\"\nbind 0.0.0.0"), ("a\nb", "c"), (" ", "c")] {
            let refused =
                ServerOptions::default().setting(name, value).config(7001, None, Path::new("/tmp/data"));
            assert!(matches!(refused, Err(StartError::Setting { .. })), "{name:?} {value:?}");
        }
    }

    #[test]
    fn the_last_password_counts_and_never_shows() {
        let options =
            ServerOptions::default().setting("requirepass", "first").setting("requirepass", "\"second\"");
        assert_eq!(options.password(), Some("second"));
        let shown = format!("{options:?}");
        assert!(
            shown.contains("requirepass") && !shown.contains("second") && !shown.contains("first"),
            "{shown}"
        );
    }
}
