//! Whatever ends the owner ends its servers.

use std::{path::PathBuf, thread};

use leasehold_trio::{Server, ServerOptions, Trio};
use rustix::process::{Pid, getpgid, test_kill_process};

fn pid(server: &Server) -> Pid {
    Pid::from_raw(server.pid().cast_signed()).expect("a process id")
}

#[test]
fn drop_leaves_no_process_and_no_directory() {
    let mut trio = Trio::start().unwrap();
    trio.servers()[1].pause().unwrap();
    trio.server(2).kill().unwrap();
    let pids = trio.servers().each_ref().map(pid);
    let dirs: [PathBuf; 3] = trio.servers().each_ref().map(|server| server.dir().to_owned());
    test_kill_process(pids[0]).unwrap();
    assert!(dirs.iter().all(|dir| dir.is_dir()));

    drop(trio);
    for pid in pids {
        assert_eq!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    }
    assert!(dirs.iter().all(|dir| !dir.exists()));
}

#[test]
fn each_server_leads_a_process_group_of_its_own() {
    let server = Server::start(ServerOptions::default()).unwrap();
    assert_eq!(getpgid(Some(pid(&server))).unwrap(), pid(&server));
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    // `join` waits for the thread's very end, which is when the kernel would kill its children.
    let mut server = thread::spawn(|| Server::start(ServerOptions::default()).unwrap()).join().unwrap();
    assert_eq!(server.command(&["PING"]).unwrap().text(), Some("PONG"));
    assert!(server.is_running().unwrap());
}
