//! Identifiers in the shapes of the service's examples. Clients must take them as opaque.

use crate::random::Random;
use crate::zilliz::cluster::Deployment;

const HEX: &[u8] = b"0123456789abcdef";
const ALPHANUMERIC: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

pub(crate) fn project(random: &mut Random) -> String {
    format!("proj-{}", letters(random, 22, HEX))
}

pub(crate) fn cluster(random: &mut Random, deployment: Deployment) -> String {
    let prefix = match deployment {
        Deployment::Dedicated => "in01-",
        Deployment::Free => "in03-",
        Deployment::Serverless => "in05-",
    };
    format!("{prefix}{}", letters(random, 15, HEX))
}

pub(crate) fn backup(random: &mut Random) -> String {
    format!("backup{}_{}", random.below(12), letters(random, 15, HEX))
}

pub(crate) fn job(random: &mut Random) -> String {
    format!("job-{}", letters(random, 22, ALPHANUMERIC))
}

/// The `requestid` header's value.
pub(crate) fn request(random: &mut Random) -> String {
    letters(random, 32, HEX)
}

pub(crate) fn password(random: &mut Random) -> String {
    letters(random, 16, ALPHANUMERIC)
}

fn letters(random: &mut Random, count: usize, alphabet: &[u8]) -> String {
    (0..count)
        .filter_map(|_| alphabet.get(random.below(alphabet.len())))
        .map(|letter| char::from(*letter))
        .collect()
}
