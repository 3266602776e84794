//! A disk that forgets what was not synced when the power fails, and that can be full or broken for a time.

use pivot_tests::random::Random;
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// The smallest part of a write that is there as a whole or not at all after the power failed.
const SECTOR: usize = 512;

/// The abilities of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskHealth {
    /// Everything.
    Sound,
    /// Files do not grow.
    Full,
    /// Nothing is written or synced.
    Broken,
}

/// A disk with one file; all clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<DiskState>>);

#[derive(Debug)]
struct DiskState {
    random: Random,
    health: DiskHealth,
    /// One more for each process that the file was taken from.
    processes: u64,
    /// The file as processes read it.
    seen: Vec<u8>,
    /// The file as it is after the power has failed, but for the changes that were not synced.
    synced: Vec<u8>,
    unsynced: Vec<FileChange>,
}

#[derive(Debug)]
enum FileChange {
    Length(usize),
    Bytes { offset: usize, data: Vec<u8> },
}

impl FileChange {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            FileChange::Length(length) => file.resize(*length, 0),
            FileChange::Bytes { offset, data } => {
                if file.len() < offset + data.len() {
                    file.resize(offset + data.len(), 0);
                }
                file[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(DiskState {
            random: Random::new(seed),
            health: DiskHealth::Sound,
            processes: 0,
            seen: Vec::new(),
            synced: Vec::new(),
            unsynced: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().expect("nothing panics with the disk")
    }

    pub(crate) fn set_health(&self, health: DiskHealth) {
        self.lock().health = health;
    }

    /// Returns the file for one more process.
    pub(crate) fn open(&self) -> OpenedFile {
        OpenedFile { disk: self.clone(), process: self.lock().processes }
    }

    /// Takes the file from the process that has it: what that writes from now on, as it is taken down, does not count.
    pub(crate) fn end_process(&self) {
        self.lock().processes += 1;
    }

    /// Forgets what was not synced; some of it may be there all the same, in any order.
    pub(crate) fn lose_power(&self) {
        let mut state = self.lock();
        let DiskState { random, seen, synced, unsynced, .. } = &mut *state;
        for change in unsynced.drain(..) {
            match change {
                FileChange::Length(_) if random.percent(50) => change.apply(synced),
                FileChange::Length(_) => {}
                FileChange::Bytes { offset, data } => {
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        let offset = offset + number * SECTOR;
                        // What lies behind the end that is synced was never reached.
                        if random.percent(50) && offset + sector.len() <= synced.len() {
                            FileChange::Bytes { offset, data: sector.to_vec() }.apply(synced);
                        }
                    }
                }
            }
        }

        seen.clone_from(synced);
    }
}

/// The file as one process has it.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    disk: SimulatedDisk,
    process: u64,
}

impl OpenedFile {
    /// Returns the state if the process may still reach it.
    fn state(&self) -> Result<MutexGuard<'_, DiskState>, io::Error> {
        let state = self.disk.lock();
        match state.processes == self.process {
            true => Ok(state),
            false => Err(io::Error::other("the process has ended")),
        }
    }

    fn change(&self, change: FileChange) -> Result<(), io::Error> {
        let mut state = self.state()?;
        let grows = match &change {
            FileChange::Length(length) => *length > state.seen.len(),
            FileChange::Bytes { offset, data } => offset + data.len() > state.seen.len(),
        };

        match state.health {
            DiskHealth::Broken => return Err(io::Error::other("the disk is broken")),
            DiskHealth::Full if grows => return Err(io::Error::from(io::ErrorKind::StorageFull)),
            DiskHealth::Full | DiskHealth::Sound => {}
        }
        change.apply(&mut state.seen);
        state.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for OpenedFile {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.state()?;
        let offset = usize::try_from(offset).expect("a small file");
        let found = state.seen.get(offset..offset + out.len());
        let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.change(FileChange::Length(usize::try_from(length).expect("a small file")))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.state()?;
        if state.health == DiskHealth::Broken {
            return Err(io::Error::other("the disk is broken"));
        }

        let DiskState { synced, unsynced, .. } = &mut *state;
        for change in unsynced.drain(..) {
            change.apply(synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).expect("a small file");
        self.change(FileChange::Bytes { offset, data: data.to_vec() })
    }
}
