//! A path between two network namespaces: a TUN device in each, and two threads that
//! carry packets from one to the other as late, as slowly and with as many losses as
//! is asked for.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};

/// Largest packet that comes from a device: its MTU is 1,500.
const PACKET_BYTES_MAX: usize = 2_048;
/// What a router holds back before it drops, of time at its rate.
// Guess: between what is advised (tens of milliseconds) and what is found.
const BUFFER: Duration = Duration::from_millis(50);

/// What the path is like, in each direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub(crate) delay: Duration,
    /// Packets lost, of a million.
    pub(crate) loss: u32,
    /// Bytes a second.
    pub(crate) rate: f64,
}

/// Two namespaces with a path between them. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Ends {
    names: [String; 2],
}

impl Ends {
    pub(crate) const ADDRESSES: [&str; 2] = ["10.213.0.1", "10.213.0.2"];

    /// # Errors
    ///
    /// Without the right to make them, which is root's on most systems.
    pub(crate) fn new(path: Path) -> io::Result<Self> {
        let me = std::process::id();
        let ends = Self {
            names: ["a", "b"].map(|end| format!("gannet-{me}-{end}")),
        };
        let mut devices = Vec::new();
        for (place, name) in ends.names.iter().enumerate() {
            ip(&["netns", "add", name])?;
            let device = format!("gt{me}{place}");
            devices.push(open(&device)?);
            ip(&["link", "set", &device, "netns", name])?;
            let own = Self::ADDRESSES[place];
            let other = Self::ADDRESSES[1 - place];
            ip(&[
                "-n", name, "address", "add", own, "peer", other, "dev", &device,
            ])?;
            ip(&["-n", name, "link", "set", &device, "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        let [a, b] = <[File; 2]>::try_from(devices).expect("two ends");
        carry(a.try_clone()?, b.try_clone()?, path, 1);
        carry(b, a, path, 2);
        Ok(ends)
    }

    /// A program that is to run at one end.
    pub(crate) fn command(&self, end: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[end]]);
        command
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        for name in &self.names {
            // What was not made need not be removed.
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!(
        "ip {}: {said}",
        arguments.join(" ")
    )))
}

/// A device of this name, which goes with the file.
fn open(name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let device = options.read(true).write(true).open("/dev/net/tun")?;
    let mut request = [0; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    // IFF_TUN and IFF_NO_PI: packets as they are.
    request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
    // SAFETY: the request is as large as the system takes it to be.
    unsafe { rustix::ioctl::ioctl(&device, SetInterface(request))? };
    Ok(device)
}

/// `TUNSETIFF` with a `struct ifreq`.
struct SetInterface([u8; 40]);

// SAFETY: the number and the size are those of linux/if_tun.h and net/if.h.
unsafe impl Ioctl for SetInterface {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        0x4004_54ca
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Carries packets one way, until the devices go.
fn carry(mut from: File, mut to: File, path: Path, seed: u64) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        while let Ok((due, packet)) = receiver.recv() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A device that is down takes nothing.
            let _ = to.write_all(&packet);
        }
    });
    std::thread::spawn(move || {
        let mut free_at = Instant::now();
        let mut dice = seed;
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok(length) = from.read(&mut buffer) {
            let now = Instant::now();
            free_at = free_at.max(now);
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let is_lost = (dice >> 33) % 1_000_000 < u64::from(path.loss);
            if is_lost || free_at - now > BUFFER {
                continue;
            }
            let bytes = f64::from(u32::try_from(length).expect("a packet"));
            free_at += Duration::from_secs_f64(bytes / path.rate);
            let packet = buffer[..length].to_vec();
            if sender.send((free_at + path.delay, packet)).is_err() {
                return;
            }
        }
    });
}
