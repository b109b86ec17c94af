//! An object store as the journal uses it: reads, conditional writes, deletions and lists, each with a deadline.
//!
//! What it must never do: write over an object that it has not seen, or take a write for done or undone without having
//! looked. A write whose answer was lost, and one that is refused, are settled by reading back.

use std::error::Error as _;
use std::fmt;
use std::fs::{File, TryLockError};
use std::future::Future;
use std::io;
use std::path::Path as Directory;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use super::{JournalError, JournalUrl, Place, s3};

/// One request. S3 answers in tens of milliseconds.
pub(super) const ATTEMPT_DEADLINE: Duration = Duration::from_secs(8);
/// One operation with its repeats; a lease that can't be renewed for longer than this has still not run out.
const OPERATION_DEADLINE: Duration = Duration::from_secs(30);
/// Attempts after the first.
const RETRIES: usize = 4;
/// Larger than anything that the journal writes. What is larger is somebody else's and is not read into memory.
const LARGEST_OBJECT: u64 = 64 << 20;
/// What such an object is read as: nothing that the journal ever wrote.
const TOO_LARGE: &[u8] = b"(too large)";
/// Characters of somebody else's words in an error of ours.
const LONGEST_MESSAGE: usize = 400;
/// S3's words for credentials that it does not know, or knows no longer.
const BAD_CREDENTIALS: [&str; 4] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
];
/// How often a directory's lock is tried for.
const LOCK_EVERY: Duration = Duration::from_millis(10);

/// An object as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) body: Vec<u8>,
    pub(super) version: UpdateVersion,
}

/// How a conditional write ended.
#[derive(Debug)]
pub(super) enum Put {
    /// What we wrote is there.
    Done,
    /// Something else is there, or nothing is left to replace.
    Beaten(Option<Found>),
}

/// How one request failed.
#[derive(Debug)]
enum Failure {
    /// There is no such object.
    Absent,
    /// The condition of a write does not hold, or did not when it was tried.
    Conflict,
    /// Anything else.
    Because(JournalError),
}

impl Failure {
    /// Whether the same request may well succeed a moment later.
    fn passes(&self) -> bool {
        matches!(self, Self::Because(JournalError::Unreachable { .. }))
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Because(error)
    }
}

/// What the whole journal is, as a part: that of nightly runs.
const RUNS: &str = "runs";
/// The parts beside it.
const PARTS: [&str; 4] = ["restores", "drills", "clusters", "clusters-restores"];

/// The objects, opened at their first use.
pub(super) struct Store {
    url: JournalUrl,
    /// Of this part.
    root: Path,
    /// Of the whole journal; marks of what is open stand there side by side, so that one listing finds all of them.
    whole: Path,
    part: String,
    /// Shared with every part of the same journal, because a memory that is opened twice is two memories.
    objects: Arc<OnceCell<Arc<dyn ObjectStore>>>,
}

impl fmt::Debug for Store {
    /// Where it is, and nothing of what the store's own client holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.url)
    }
}

impl Store {
    pub(super) fn at(url: JournalUrl) -> Self {
        let root = match &url.0 {
            Place::Bucket { prefix, .. } => prefix.clone(),
            Place::Directory(_) | Place::Memory => Path::default(),
        };
        Self {
            url,
            whole: root.clone(),
            root,
            part: RUNS.to_owned(),
            objects: Arc::default(),
        }
    }

    pub(super) fn on(objects: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self {
            url: JournalUrl(Place::Memory),
            whole: root.clone(),
            root,
            part: RUNS.to_owned(),
            objects: Arc::new(OnceCell::new_with(Some(objects))),
        }
    }

    /// The same objects, those in a folder alone, which is one of [`PARTS`].
    pub(super) fn under(&self, folder: &str) -> Self {
        let part = if self.is_whole() {
            folder.to_owned()
        } else {
            format!("{}-{folder}", self.part)
        };
        Self {
            url: self.url.clone(),
            root: self.path([folder]),
            whole: self.whole.clone(),
            part,
            objects: Arc::clone(&self.objects),
        }
    }

    fn is_whole(&self) -> bool {
        self.part == RUNS
    }

    /// A path among the marks of what is open of this part.
    pub(super) fn mark<const N: usize>(&self, parts: [&str; N]) -> Path {
        let of_part = self.whole.clone().join("open").join(self.part.as_str());
        parts.into_iter().fold(of_part, Path::join)
    }

    /// Every object among the marks of what is open: of this part, and, in the whole journal, those that are of no part. And
    /// whether the whole has any of another part.
    pub(super) async fn marks(&self) -> Result<(Vec<Path>, bool), JournalError> {
        if !self.is_whole() {
            return Ok((self.list(&self.mark([])).await?, false));
        }
        let open = self.whole.clone().join("open");
        let of_others = PARTS.map(|part| open.clone().join(part));
        let is_anothers = |path: &Path| of_others.iter().any(|part| path.prefix_matches(part));
        let mut marks = self.list(&open).await?;
        let all = marks.len();
        marks.retain(|path| !is_anothers(path));
        let others = marks.len() < all;
        Ok((marks, others))
    }

    /// A path under the root; whatever is in the parts, each is one part.
    pub(super) fn path<const N: usize>(&self, parts: [&str; N]) -> Path {
        parts.into_iter().fold(self.root.clone(), Path::join)
    }

    /// An object's whole name, for people.
    pub(super) fn name_of(&self, path: &Path) -> String {
        match &self.url.0 {
            Place::Bucket { name, .. } => format!("s3://{name}/{path}"),
            Place::Directory(directory) => directory.join(path.as_ref()).display().to_string(),
            Place::Memory => format!("memory://{path}"),
        }
    }

    /// The object, if there is one.
    pub(super) async fn read(&self, path: &Path) -> Result<Option<Found>, JournalError> {
        let found = self.within_deadline(self.patiently(|| self.get(path)));
        match found.await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Absent) => Ok(None),
            Err(failure) => Err(self.error_of(failure)),
        }
    }

    /// Writes an object that must be absent, or must still be the one that was read.
    pub(super) async fn put(
        &self,
        path: &Path,
        body: &[u8],
        was: Option<&Found>,
    ) -> Result<Put, JournalError> {
        let put = self.within_deadline(self.put_and_look(path, body, was));
        put.await.map_err(|failure| self.error_of(failure))
    }

    /// Deletes objects; one that is not there counts as deleted.
    pub(super) async fn delete(&self, paths: Vec<Path>) -> Result<(), JournalError> {
        let deleted = self.within_deadline(self.patiently(|| self.delete_once(paths.clone())));
        deleted.await.map_err(|failure| self.error_of(failure))
    }

    /// Every object under a folder, by name.
    pub(super) async fn list(&self, folder: &Path) -> Result<Vec<Path>, JournalError> {
        let listed = self.within_deadline(self.patiently(|| self.list_once(folder)));
        let mut paths = listed.await.map_err(|failure| self.error_of(failure))?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// Tries until what is there is ours, or is neither ours nor what was there before.
    async fn put_and_look(
        &self,
        path: &Path,
        body: &[u8],
        was: Option<&Found>,
    ) -> Result<Put, Failure> {
        let mut delays = delays().build();
        loop {
            let failure = match self.put_once(path, body, was).await {
                Ok(()) => return Ok(Put::Done),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Because(_)) && !failure.passes() {
                return Err(failure);
            }
            match self.get(path).await {
                Ok(found) if found.body == body => return Ok(Put::Done),
                Ok(found) if was.is_none_or(|was| was.version != found.version) => {
                    return Ok(Put::Beaten(Some(found)));
                }
                Err(Failure::Absent) if was.is_some() => return Ok(Put::Beaten(None)),
                Err(Failure::Because(error))
                    if !matches!(error, JournalError::Unreachable { .. }) =>
                {
                    return Err(error.into());
                }
                // It is as it was before, or can't be seen just now.
                Ok(_) | Err(_) => {}
            }
            let Some(delay) = delays.next() else {
                return Err(failure);
            };
            sleep(delay).await;
        }
    }

    async fn put_once(&self, path: &Path, body: &[u8], was: Option<&Found>) -> Result<(), Failure> {
        let objects = self.objects().await?;
        let mode = was.map_or(PutMode::Create, |was| PutMode::Update(was.version.clone()));
        self.attempt(async {
            match (&self.url.0, mode) {
                (Place::Directory(directory), PutMode::Update(was)) => {
                    replace_file(objects, directory, path, body, &was).await
                }
                (_, mode) => objects
                    .put_opts(path, body.to_vec().into(), mode.into())
                    .await
                    .map(drop),
            }
        })
        .await
    }

    async fn get(&self, path: &Path) -> Result<Found, Failure> {
        let objects = self.objects().await?;
        self.attempt(async {
            let found = objects.get(path).await?;
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            let body = match found.meta.size {
                0..=LARGEST_OBJECT => found.bytes().await?.to_vec(),
                _ => TOO_LARGE.to_vec(),
            };
            Ok(Found { body, version })
        })
        .await
    }

    async fn delete_once(&self, paths: Vec<Path>) -> Result<(), Failure> {
        let objects = self.objects().await?;
        let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut deletions = objects.delete_stream(paths);
        while let Some(deleted) = self.attempt(async { Ok(deletions.next().await) }).await? {
            match deleted.map_err(|error| self.explain(&error)) {
                Ok(_) | Err(Failure::Absent) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn list_once(&self, folder: &Path) -> Result<Vec<Path>, Failure> {
        let objects = self.objects().await?;
        let listed = objects.list(Some(folder)).map_ok(|meta| meta.location);
        let mut paths: Vec<Path> = self.attempt(listed.try_collect()).await?;
        // A folder made in the S3 console is an empty object with the folder's name.
        paths.retain(|path| path != folder);
        Ok(paths)
    }

    /// The store itself, opened now if this is its first use.
    async fn objects(&self) -> Result<&Arc<dyn ObjectStore>, JournalError> {
        let opened = self.objects.get_or_try_init(async || match &self.url.0 {
            Place::Bucket { name, region, .. } => {
                // Boxed, or every operation's future would hold the whole depth of the credentials' chain.
                s3::connect(&self.url, name, region.as_deref())
                    .boxed()
                    .await
            }
            Place::Directory(directory) => self.open_directory(directory),
            Place::Memory => Ok(Arc::new(InMemory::new()) as Arc<dyn ObjectStore>),
        });
        opened.await
    }

    pub(super) fn place(&self) -> &JournalUrl {
        &self.url
    }

    /// Whether there is no directory yet where it can be made. It can't where anything else stands in the way.
    pub(super) fn is_yet_to_be_made(&self) -> Result<bool, JournalError> {
        let Place::Directory(directory) = &self.url.0 else {
            return Ok(false);
        };
        for (depth, place) in directory.ancestors().enumerate() {
            match std::fs::metadata(place) {
                Ok(found) if found.is_dir() => return Ok(depth > 0),
                Ok(_) => {
                    return Err(
                        self.directory_fails(&io::Error::from(io::ErrorKind::NotADirectory))
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.directory_fails(&error)),
            }
        }
        Ok(true)
    }

    fn open_directory(&self, directory: &Directory) -> Result<Arc<dyn ObjectStore>, JournalError> {
        std::fs::create_dir_all(directory).map_err(|error| self.directory_fails(&error))?;
        let files = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| self.directory_fails(&error))?;
        // What is said to be written must outlive a crash of the machine; and a finished run leaves no empty folders.
        Ok(Arc::new(
            files.with_fsync(true).with_automatic_cleanup(true),
        ))
    }

    /// One request within its deadline.
    async fn attempt<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        match timeout(ATTEMPT_DEADLINE, request).await {
            Ok(answer) => answer.map_err(|error| self.explain(&error)),
            Err(_) => Err(self.no_answer(ATTEMPT_DEADLINE)),
        }
    }

    async fn patiently<T, F>(&self, request: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        request.retry(delays()).when(Failure::passes).await
    }

    /// An operation with all its attempts. Boxed, or every caller's future would hold the whole depth of a request.
    async fn within_deadline<T>(
        &self,
        operation: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let ended = timeout(OPERATION_DEADLINE, operation.boxed()).await;
        ended.unwrap_or_else(|_| Err(self.no_answer(OPERATION_DEADLINE)))
    }

    fn no_answer(&self, within: Duration) -> Failure {
        Failure::Because(self.unreachable(format!("no answer within {} s", within.as_secs())))
    }

    pub(super) fn unreachable(&self, message: String) -> JournalError {
        JournalError::Unreachable {
            place: self.url.to_string(),
            message,
        }
    }

    fn directory_fails(&self, error: &dyn std::error::Error) -> JournalError {
        JournalError::Directory {
            place: self.url.to_string(),
            message: chain(error),
        }
    }

    /// A failure where neither absence nor conflict makes sense any more.
    fn error_of(&self, failure: Failure) -> JournalError {
        match failure {
            Failure::Because(error) => error,
            Failure::Absent | Failure::Conflict => {
                self.unreachable("its objects change while they are looked at".into())
            }
        }
    }

    /// What a store's error means for whoever must act on it.
    fn explain(&self, error: &Error) -> Failure {
        let place = self.url.to_string();
        let message = chain(error);
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        Failure::Because(match error {
            _ if says(&["NoSuchBucket"]) => JournalError::BucketMissing { place },
            Error::NotFound { .. } => return Failure::Absent,
            Error::AlreadyExists { .. } | Error::Precondition { .. } => return Failure::Conflict,
            Error::Unauthenticated { .. } => JournalError::NoCredentials { place, message },
            _ if says(&BAD_CREDENTIALS) => JournalError::NoCredentials { place, message },
            Error::PermissionDenied { .. } => JournalError::Denied { place, message },
            _ if says(&["AuthorizationHeaderMalformed", "without LOCATION"]) => {
                JournalError::Region { place, message }
            }
            _ if self.is_the_directorys_fault(error) => self.directory_fails(error),
            _ => self.unreachable(message),
        })
    }

    /// What won't pass by itself: no permission, no space, no directory.
    fn is_the_directorys_fault(&self, error: &Error) -> bool {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return matches!(self.url.0, Place::Directory(_)) && lasts(error.kind());
            }
            cause = error.source();
        }
        false
    }
}

fn lasts(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
    )
}

/// Replaces a file that must still be what was read. Directories have no conditional update, so a lock stands in for
/// it: the operating system's, which dies with its process.
async fn replace_file(
    files: &Arc<dyn ObjectStore>,
    directory: &Directory,
    path: &Path,
    body: &[u8],
    was: &UpdateVersion,
) -> Result<(), Error> {
    let lock = lock(&directory.join(".lock")).await;
    let _lock = lock.map_err(|source| Error::Generic {
        store: "lock file",
        source: source.into(),
    })?;
    let now = files.head(path).await?;
    if now.e_tag != was.e_tag {
        return Err(Error::Precondition {
            path: path.to_string(),
            source: "it was written meanwhile".into(),
        });
    }
    files.put(path, body.to_vec().into()).await.map(drop)
}

/// Waits for the lock for as long as the attempt may last. It is let go when the file is closed.
async fn lock(path: &Directory) -> io::Result<File> {
    let file = File::options().create(true).append(true).open(path)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => sleep(LOCK_EVERY).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Delays between attempts, with jitter so that many don't come back at once.
fn delays() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .with_max_times(RETRIES)
}

/// What went wrong, from the outside in, and each thing once. Never the errors' debug output.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said.chars().take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of S3's, as `object_store` shows it.
    fn said(status: u16, body: &'static str) -> Error {
        let (path, source) = ("leases/nightly.json".to_owned(), body.into());
        match status {
            401 => Error::Unauthenticated { path, source },
            403 => Error::PermissionDenied { path, source },
            404 => Error::NotFound { path, source },
            409 => Error::AlreadyExists { path, source },
            412 => Error::Precondition { path, source },
            _ => Error::Generic {
                store: "S3",
                source,
            },
        }
    }

    #[test]
    fn every_answer_says_what_to_do_next() {
        let url: JournalUrl = "s3://backups/lifeboat".parse().unwrap();
        let store = Store::at(url);
        for (status, body, word, remedy) in [
            (
                404,
                "<Code>NoSuchBucket</Code>",
                "journal_missing",
                "create it",
            ),
            (
                403,
                "<Code>AccessDenied</Code>",
                "journal_denied",
                "s3:GetObject, s3:PutObject and s3:DeleteObject",
            ),
            (
                403,
                "<Code>AccessDenied</Code>",
                "journal_denied",
                "s3:ListBucket",
            ),
            (
                403,
                "<Code>InvalidAccessKeyId</Code>",
                "journal_no_credentials",
                "aws sso login",
            ),
            (
                403,
                "<Code>SignatureDoesNotMatch</Code>",
                "journal_no_credentials",
                "aws sso login",
            ),
            (
                400,
                "<Code>ExpiredToken</Code>",
                "journal_no_credentials",
                "aws sso login",
            ),
            (
                401,
                "the provider says no",
                "journal_no_credentials",
                "the provider says no",
            ),
            (
                400,
                "<Code>AuthorizationHeaderMalformed</Code>",
                "journal_region",
                "?region=eu-west-1",
            ),
            (
                301,
                "Received redirect without LOCATION",
                "journal_region",
                "AWS_REGION",
            ),
            (
                503,
                "<Code>SlowDown</Code>",
                "journal_unreachable",
                "tries again",
            ),
        ] {
            let Failure::Because(error) = store.explain(&said(status, body)) else {
                panic!("{body} is an answer");
            };
            let text = error.to_string();
            assert_eq!(error.word(), word, "{body}");
            assert!(
                text.contains("s3://backups/lifeboat") && text.contains(remedy),
                "{text}"
            );
        }
        assert!(matches!(
            store.explain(&said(404, "<Code>NoSuchKey</Code>")),
            Failure::Absent
        ));
        for status in [409, 412] {
            assert!(matches!(
                store.explain(&said(status, "")),
                Failure::Conflict
            ));
        }
    }

    #[test]
    fn a_chain_of_causes_says_each_thing_once_and_not_too_much() {
        let inner = io::Error::other("x".repeat(1_000));
        let outer = Error::Generic {
            store: "S3",
            source: inner.into(),
        };
        let text = chain(&outer);
        assert!(
            text.starts_with("Generic S3 error: xxx") && text.chars().count() == LONGEST_MESSAGE
        );
    }
}
