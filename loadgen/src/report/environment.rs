//! Where and with what a run was made, without a word about whose machine it was.

use std::fs;
use std::thread;

use super::run_json::{Environment, Server};
use crate::run::endpoints::without_password;

impl Environment {
    /// What this program was built from, and the machine it runs on.
    pub(crate) fn of_this_machine(server: Option<Server>) -> Self {
        let uname = rustix::system::uname();
        Self {
            commit: option_env!("LOADGEN_COMMIT").map(str::to_owned),
            dirty: option_env!("LOADGEN_DIRTY").map(|dirty| dirty == "true"),
            compiler: env!("LOADGEN_COMPILER").to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            cpu: cpu_model(),
            cores: thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            real_time: None,
            server,
        }
    }
}

/// The command line as it may be shown to others: paths that lead through this machine shortened to their last part,
/// users and passwords of URLs left out.
pub(crate) fn shareable_command(arguments: impl IntoIterator<Item = String>) -> String {
    arguments.into_iter().map(|argument| shareable(&argument)).collect::<Vec<_>>().join(" ")
}

fn shareable(argument: &str) -> String {
    let (option, value) = match argument.split_once('=') {
        // A URL may begin with anything, and hold this as well.
        Some((option, value)) if option.starts_with("--") && !option.contains("://") => {
            (format!("{option}="), value)
        }
        _ => (String::new(), argument),
    };
    let shown = |part: &str| if part.contains("://") { without_password(part) } else { part.to_owned() };
    let parts: Vec<_> = value.split(',').map(|part| without_path(&shown(part))).collect();
    let value = parts.join(",");
    if value.contains(char::is_whitespace) { format!("{option}'{value}'") } else { option + &value }
}

fn without_path(part: &str) -> String {
    let leads_through_this_machine = part.starts_with(['/', '~', '.']) && part.contains('/');
    if !leads_through_this_machine {
        return part.to_owned();
    }
    part.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(target_os = "linux")]
fn cpu_model() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, model) = cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(model.trim().to_owned())
}

#[cfg(not(target_os = "linux"))]
fn cpu_model() -> Option<String> {
    let output =
        std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
    let model = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!model.is_empty()).then_some(model)
}
