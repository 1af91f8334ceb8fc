// What the real client of the Hub sees at the address given: listings, file information, whole
// files, ranges and a snapshot, compared with the directory that is served.
//
//   node hub_npm_client.mjs HUB_URL DIRECTORY CACHE_DIRECTORY PACKAGE_DIRECTORY
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import assert from "node:assert/strict";

const [hubUrl, directory, cacheDir, packageDir] = process.argv.slice(2);
const hub = createRequire(join(packageDir, "x.js"))("@huggingface/hub");
console.debug = () => {};

const accessToken = "hf_test";
const gitId = (bytes) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const expected = new Map();
const walk = (at) => {
  for (const name of readdirSync(at)) {
    const path = join(at, name);
    if (statSync(path).isDirectory()) walk(path);
    else expected.set(relative(directory, path), readFileSync(path));
  }
};
walk(directory);

async function checkRepository(repo) {
  const files = new Map();
  for await (const entry of hub.listFiles({ repo, hubUrl, recursive: true, accessToken })) {
    if (entry.type === "file") files.set(entry.path, entry);
  }
  assert.deepEqual([...files.keys()].sort(), [...expected.keys()].sort(), "paged listing");

  for (const [path, bytes] of expected) {
    const entry = files.get(path);
    assert.equal(entry.size, bytes.length, path);
    if (entry.lfs) {
      assert.equal(entry.lfs.oid, sha256(bytes), path);
      assert.equal(entry.lfs.size, bytes.length, path);
    } else {
      assert.equal(entry.oid, gitId(bytes), path);
    }
    const info = await hub.fileDownloadInfo({ repo, path, hubUrl, accessToken });
    assert.equal(info.size, bytes.length, path);
    const blob = await hub.downloadFile({ repo, path, hubUrl, accessToken });
    assert.deepEqual(Buffer.from(await blob.arrayBuffer()), bytes, path);
    const from = bytes.length >> 1;
    const to = Math.min(from + 300, bytes.length);
    const part = await blob.slice(from, to).arrayBuffer();
    assert.deepEqual(Buffer.from(part), bytes.subarray(from, to), path);
  }
  assert.equal(await hub.fileDownloadInfo({ repo, path: "none", hubUrl, accessToken }), null);

  const snapshot = await hub.snapshotDownload({ repo, hubUrl, cacheDir, accessToken });
  for (const [path, bytes] of expected) {
    assert.deepEqual(readFileSync(join(snapshot, path)), bytes, `snapshot of ${path}`);
  }
  return files.size;
}

for (const repo of [
  { type: "model", name: "lab/public" },
  { type: "model", name: "lab/old-name" }, // renamed to lab/new-name
  { type: "model", name: "lab/private" },
  { type: "dataset", name: "lab/data" },
  { type: "space", name: "lab/space" },
]) {
  console.log(`${repo.type} ${repo.name}: ${await checkRepository(repo)} files`);
}

const refused = async (params, status) => {
  const error = await hub
    .modelInfo({ hubUrl, ...params })
    .then(() => assert.fail(`${params.name} was answered`), (e) => e);
  assert.equal(error.statusCode, status, params.name);
};
await refused({ name: "lab/private" }, 401);
await refused({ name: "lab/none", accessToken }, 404);
await refused({ name: "lab/public", accessToken: "hf_wrong" }, 401);
await refused({ name: "lab/public", revision: "none", accessToken }, 404);
