//! The HTTP side does what every side must do.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use homing_core::{ContentHash, Side};
use homing_remote::Client;
use homing_side_http::{HttpSide, What};
use testkit::{Nginx, Place, reading_conformance};

use crate::world::{connecting, nginx, options};

struct Served {
    nginx: Nginx,
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    has_digests: bool,
}

impl Served {
    fn write_index(&self, files: &BTreeMap<String, Vec<u8>>) {
        let entry = |(path, bytes): (&String, &Vec<u8>)| {
            let digest = self.has_digests.then(|| ContentHash::of(bytes).to_string());
            serde_json::json!({"path": path, "sha256": digest})
        };
        let index = serde_json::Value::from(files.iter().map(entry).collect::<Vec<_>>());
        self.nginx
            .put(".index", index.to_string().as_bytes())
            .unwrap();
    }
}

impl Place for Served {
    fn side(&self) -> Arc<dyn Side> {
        let options = options(&self.nginx.url(""), What::Index(".index".to_owned()));
        let client = Client::new(connecting()).unwrap();
        Arc::new(HttpSide::new(client, options).unwrap())
    }

    fn put(&self, path: &str, bytes: &[u8], _executable: bool) {
        let mut files = self.files.lock().unwrap();
        files.insert(path.to_owned(), bytes.to_owned());
        self.nginx.put(path, bytes).unwrap();
        self.write_index(&files);
    }

    fn remove(&self, path: &str) {
        let mut files = self.files.lock().unwrap();
        files.remove(path);
        self.nginx.remove(path).unwrap();
        self.write_index(&files);
    }

    fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)> {
        let files = self.files.lock().unwrap().clone();
        files
            .into_iter()
            .map(|(path, bytes)| (path, (bytes, false)))
            .collect()
    }

    fn destroy(&self) {
        fs::remove_dir_all(self.nginx.files()).unwrap();
    }
}

async fn conforms(has_digests: bool) {
    if nginx().is_none() {
        return;
    }
    let new_place = || -> Box<dyn Place> {
        let served = Served {
            nginx: nginx().unwrap(),
            files: Mutex::default(),
            has_digests,
        };
        served.write_index(&BTreeMap::new());
        Box::new(served)
    };
    reading_conformance(&new_place).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_paths_conforms() {
    conforms(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_with_digests_conforms() {
    conforms(true).await;
}
