//! The clouds and regions of the global site. China is another site with hosts of its own, and is not here.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::route::parameter;
use crate::zilliz::envelope::{Refusal, Result, code};

/// Where a region lies, as transfer prices count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Continent {
    NorthAmerica,
    Europe,
    Asia,
    Oceania,
}

/// The cloud from and to which no backup is copied.
pub(crate) const AZURE: &str = "azure";

const CLOUDS: [(&str, &str); 3] = [
    ("aws", "Amazon Web Services"),
    ("gcp", "Google Cloud Platform"),
    (AZURE, "Microsoft Azure"),
];

/// One region. Its id begins with the cloud's id, except Azure's, which begin with `az-`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) id: &'static str,
    pub(crate) cloud: &'static str,
    pub(crate) continent: Continent,
}

const fn region(id: &'static str, cloud: &'static str, continent: Continent) -> Region {
    Region {
        id,
        cloud,
        continent,
    }
}

const REGIONS: [Region; 22] = {
    use Continent::{Asia, Europe, NorthAmerica, Oceania};
    [
        region("aws-us-west-2", "aws", NorthAmerica),
        region("aws-us-east-1", "aws", NorthAmerica),
        region("aws-us-east-2", "aws", NorthAmerica),
        region("aws-ca-central-1", "aws", NorthAmerica),
        region("aws-eu-central-1", "aws", Europe),
        region("aws-eu-west-1", "aws", Europe),
        region("aws-eu-west-2", "aws", Europe),
        region("aws-ap-northeast-1", "aws", Asia),
        region("aws-ap-northeast-2", "aws", Asia),
        region("aws-ap-southeast-1", "aws", Asia),
        region("aws-ap-southeast-2", "aws", Oceania),
        region("gcp-us-west1", "gcp", NorthAmerica),
        region("gcp-us-east4", "gcp", NorthAmerica),
        region("gcp-us-central1", "gcp", NorthAmerica),
        region("gcp-europe-west3", "gcp", Europe),
        region("gcp-asia-southeast1", "gcp", Asia),
        region("gcp-asia-northeast1", "gcp", Asia),
        region("az-eastus", AZURE, NorthAmerica),
        region("az-eastus2", AZURE, NorthAmerica),
        region("az-centralus", AZURE, NorthAmerica),
        region("az-germanywestcentral", AZURE, Europe),
        region("az-northeurope", AZURE, Europe),
    ]
};

/// The region of this id.
pub(crate) fn find(id: &str) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.id == id)
}

/// The region of this id, or 96001.
pub(crate) fn known(id: &str) -> Result<&'static Region> {
    find(id).ok_or_else(|| Refusal::new(code::REGION, format!("Unknown regionId: {id}.")))
}

/// The provider's own name of a region: `us-east4` of `gcp-us-east4`.
pub(crate) fn bare(id: &str) -> &str {
    id.split_once('-').map_or(id, |(_, bare)| bare)
}

/// GET `/v2/clouds`
pub(crate) fn clouds() -> Json {
    let clouds = CLOUDS.map(|(id, description)| json!({"cloudId": id, "description": description}));
    json!(clouds)
}

/// GET `/v2/regions`
pub(crate) fn regions(query: &str) -> Result {
    let cloud = parameter(query, "cloudId").filter(|cloud| !cloud.is_empty());
    if let Some(cloud) = &cloud
        && !CLOUDS.iter().any(|(id, _)| id == cloud)
    {
        return Err(Refusal::new(
            code::CLOUD,
            format!("Unknown cloudId: {cloud}."),
        ));
    }
    let regions = REGIONS
        .iter()
        .filter(|region| cloud.as_ref().is_none_or(|cloud| cloud == region.cloud))
        .map(|region| {
            json!({
                "cloudId": region.cloud, "regionId": region.id, "domain": domain(region.id),
                "supportedClusterTypes": ["free", "serverless", "dedicated"],
            })
        });
    Ok(regions.collect())
}

/// A bare host. Inferred: its shape is that of one example, and nothing connects to it.
fn domain(region: &str) -> String {
    format!("api.{region}.zillizcloud.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_alone_has_another_prefix_than_its_name() {
        for region in &REGIONS {
            let prefix = if region.cloud == AZURE {
                "az"
            } else {
                region.cloud
            };
            assert_eq!(region.id, format!("{prefix}-{}", bare(region.id)));
        }
    }

    #[test]
    fn regions_are_those_of_the_cloud_asked_for() {
        let count = |query| regions(query).unwrap().as_array().unwrap().len();
        assert_eq!(
            [
                count(""),
                count("cloudId="),
                count("cloudId=gcp"),
                count("cloudId=azure")
            ],
            [22, 22, 6, 5]
        );
        assert_eq!(regions("cloudId=oracle").unwrap_err().code, 96000);
    }
}
