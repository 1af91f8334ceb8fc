// The real client, npm's @azure/storage-blob, lists and reads the stand-in and compares all bytes.
// usage: azure_npm_client.mjs URL FILES_DIRECTORY MODULES_DIRECTORY KEY
import assert from "node:assert";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [url, root, modules, key] = process.argv.slice(2);
const require = createRequire(path.join(modules, "index.js"));
const blob = require("@azure/storage-blob");
const { BlobServiceClient, ContainerClient, StorageSharedKeyCredential } = blob;
const credential = new StorageSharedKeyCredential("acme", key);
const once = { retryOptions: { maxTries: 1 } };

function files(directory, below = "") {
  return fs.readdirSync(path.join(directory, below), { withFileTypes: true }).flatMap((entry) => {
    const name = below ? `${below}/${entry.name}` : entry.name;
    return entry.isDirectory() ? files(directory, name) : [name];
  });
}

async function code(promise) {
  try {
    await promise;
  } catch (error) {
    return `${error.statusCode} ${error.code ?? error.details?.errorCode}`;
  }
  return "no error";
}

async function compareAll(container) {
  const listed = new Map();
  for await (const page of container.listBlobsFlat({ includeMetadata: true }).byPage({ maxPageSize: 9 })) {
    assert(page.segment.blobItems.length <= 9);
    for (const item of page.segment.blobItems) listed.set(item.name, item);
  }
  const expected = files(root).sort();
  assert.deepStrictEqual([...listed.keys()].sort(), expected);
  for (const name of expected) {
    const bytes = fs.readFileSync(path.join(root, name));
    const item = listed.get(name);
    assert.strictEqual(item.properties.contentLength, bytes.length, name);
    const client = container.getBlobClient(name);
    assert(bytes.equals(await client.downloadToBuffer()), name);
    if (bytes.length < 10) continue;
    const part = await client.download(3, 5, { conditions: { ifMatch: `"${item.properties.etag.replaceAll('"', "")}"` } });
    assert.strictEqual(part._response.status, 206);
    const chunks = [];
    for await (const chunk of part.readableStreamBody) chunks.push(chunk);
    assert(bytes.subarray(3, 8).equals(Buffer.concat(chunks)), name);
    assert.match(await code(client.download(0, 1, { conditions: { ifMatch: '"other"' } })), /^412 ConditionNotMet/);
  }
  return expected.length;
}

const shared = new BlobServiceClient(`${url}/acme`, credential, once);
const count = await compareAll(shared.getContainerClient("models"));

const soon = new Date(Date.now() + 3600_000);
const serviceSas = (permissions, expiresOn = soon) =>
  blob.generateBlobSASQueryParameters(
    { containerName: "models", permissions: blob.ContainerSASPermissions.parse(permissions), expiresOn }, credential).toString();
const accountSas = blob.generateAccountSASQueryParameters({
  permissions: blob.AccountSASPermissions.parse("rl"), services: "b",
  resourceTypes: blob.AccountSASResourceTypes.parse("co").toString(), expiresOn: soon }, credential).toString();
await compareAll(new ContainerClient(`${url}/acme/models?${serviceSas("rl")}`, undefined, once));
await compareAll(new ContainerClient(`${url}/acme/models?${accountSas}`, undefined, once));

const one = (sas) => new ContainerClient(`${url}/acme/models?${sas}`, undefined, once).getBlobClient("config.json").download();
assert.match(await code(one(serviceSas("l"))), /^403 AuthorizationPermissionMismatch/);
assert.match(await code(one(serviceSas("rl", new Date(Date.now() - 1000)))), /^403 AuthenticationFailed/);
assert.match(await code(one(serviceSas("rl").replace("sig=", "sig=A"))), /^403 AuthenticationFailed/);
assert.match(await code(new BlobServiceClient(`${url}/acme`, undefined, once).getContainerClient("models").getBlobClient("config.json").download()),
  /^409 PublicAccessNotPermitted/);
const wrong = new StorageSharedKeyCredential("acme", Buffer.from("another key of this length......").toString("base64"));
assert.match(await code(new BlobServiceClient(`${url}/acme`, wrong, once).getContainerClient("models").getBlobClient("config.json").download()),
  /^403 AuthenticationFailed/);
assert.match(await code(shared.getContainerClient("nothing").listBlobsFlat().byPage().next()), /^404 ContainerNotFound/);
assert.match(await code(shared.getContainerClient("models").getBlobClient("nothing").download()), /^404 BlobNotFound/);
console.log(`${count} blobs three times`);
