// What Google's own clients see at the stand-in: tokens by key and by federation, listings, metadata,
// whole objects with their hashes checked, ranges, generations and refusals.
//
//   node google_npm_client.mjs SETUP_JSON
import { createSign, generateKeyPairSync } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import assert from "node:assert/strict";

const setup = JSON.parse(readFileSync(process.argv[2]));
const require = createRequire(join(setup.package, "x.js"));
const { Storage } = require("@google-cloud/storage");
const { JWT, IdentityPoolClient } = require("google-auth-library");
const { Gaxios } = require("gaxios");

const expected = new Map();
const walk = (at) => {
  for (const name of readdirSync(at)) {
    const path = join(at, name);
    if (statSync(path).isDirectory()) walk(path);
    else expected.set(relative(setup.directory, path), readFileSync(path));
  }
};
walk(setup.directory);

// The library has Google's token address built in: only the host is another one here.
class ToFake extends Gaxios {
  request(options) {
    const url = new URL(String(options.url));
    const fake = new URL(setup.url);
    assert.match(url.host, /googleapis\.com$|^127\.0\.0\.1/);
    url.protocol = fake.protocol;
    url.host = fake.host;
    return super.request({ ...options, url: url.toString() });
  }
}

const scopes = ["https://www.googleapis.com/auth/devstorage.read_only"];

function keyClient(key) {
  const client = new JWT({ email: key.client_email, key: key.private_key, keyId: key.private_key_id, scopes });
  client.transporter = new ToFake();
  return client;
}

// ---- an issuer of our own -----------------------------------------------------------------------

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const b64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const subjectToken = (claims = {}) => {
  const now = Math.floor(Date.now() / 1000);
  const body = `${b64({ alg: "RS256", typ: "JWT", kid: "k1" })}.${b64({
    iss: setup.issuer,
    sub: "v=1:org=lab:model=m",
    aud: `https://iam.googleapis.com/${setup.provider}`,
    iat: now,
    exp: now + 600,
    ...claims,
  })}`;
  return `${body}.${createSign("RSA-SHA256").update(body).sign(privateKey).toString("base64url")}`;
};
writeFileSync(
  join(setup.issuerDirectory, ".well-known/openid-configuration"),
  JSON.stringify({ issuer: setup.issuer, jwks_uri: `${setup.issuer}/jwks.json` }),
);
writeFileSync(
  join(setup.issuerDirectory, "jwks.json"),
  JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "RS256", use: "sig" }] }),
);

function federatedClient(token, provider = setup.provider, account = setup.reader) {
  const file = join(setup.scratch, `token-${Math.random()}`);
  writeFileSync(file, token);
  const client = new IdentityPoolClient({
    type: "external_account",
    audience: `//iam.googleapis.com/${provider}`,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `${setup.url}/v1/token`,
    service_account_impersonation_url: `${setup.url}/v1/projects/-/serviceAccounts/${account}:generateAccessToken`,
    credential_source: { file },
  });
  client.scopes = scopes;
  return client;
}

// ---- storage ------------------------------------------------------------------------------------

function storageOf(authClient) {
  return new Storage({
    apiEndpoint: setup.url,
    useAuthWithCustomEndpoint: true,
    projectId: "fake-project",
    authClient,
    retryOptions: { autoRetry: false },
  });
}

const rejects = async (promise, part, code) => {
  const error = await promise.then(() => assert.fail(`expected ${part}`), (e) => e);
  const text = `${error.message} ${JSON.stringify(error.response?.data ?? "")}`;
  assert.match(text, part);
  if (code) assert.equal(Number(error.code ?? error.status), code, text);
};

async function checkBucket(storage) {
  const bucket = storage.bucket("weights");
  const [files] = await bucket.getFiles();
  const names = files.map((file) => file.name);
  assert.deepEqual(names.sort(), [...expected.keys(), "zcomposed", "zipped.json"].sort(), "paged listing");
  const [shards] = await bucket.getFiles({ prefix: "shards/" });
  assert.equal(shards.length, 30);
  for (const [name, bytes] of expected) {
    const file = bucket.file(name);
    const [metadata] = await file.getMetadata();
    assert.equal(metadata.size, String(bytes.length), name);
    assert.match(metadata.generation, /^\d{16,}$/);
    // Checks CRC-32C and MD5 of the answer's x-goog-hash by itself.
    const [content] = await file.download({ validation: true });
    assert.deepEqual(content, bytes, name);
    if (bytes.length < 2) continue;
    const [part] = await file.download({ start: 1, end: bytes.length - 1, validation: false });
    assert.deepEqual(part, bytes.subarray(1), `${name} from 1`);
    const pinned = bucket.file(name, { generation: metadata.generation });
    assert.deepEqual((await pinned.download())[0], bytes, `${name} by generation`);
  }
  const [composed] = await bucket.file("zcomposed").getMetadata();
  assert.equal(composed.md5Hash, undefined);
  assert.equal((await bucket.file("zcomposed").download())[0].toString(), "parts");
  const [stored] = await bucket.file("zipped.json").download({ decompress: false, validation: "crc32c" });
  assert.deepEqual([...stored.subarray(0, 2)], [0x1f, 0x8b], "what is stored");
  const [text] = await bucket.file("zipped.json").download({ decompress: true });
  assert.equal(text.toString(), setup.zipped);
  await rejects(bucket.file("none").download(), /No such object: weights\/none/, 404);
  await rejects(bucket.file("config.json", { generation: 17 }).download(), /No such object/, 404);
  await rejects(storage.bucket("closed").getFiles(), /storage\.objects\.list/, 403);
  await rejects(storage.bucket("paid").getFiles(), /requester pays/, 400);
  await rejects(storage.bucket("nowhere").getFiles(), /bucket does not exist/, 404);
  return files.length;
}

const byKey = keyClient(setup.key);
console.log(`by key: ${await checkBucket(storageOf(byKey))} objects`);
const byFederation = federatedClient(subjectToken());
console.log(`by federation: ${await checkBucket(storageOf(byFederation))} objects`);

// The URL of a transcoded object: no Accept-Encoding, so the server decompresses and ignores the range.
const { token } = await byKey.getAccessToken();
const transcoded = await fetch(`${setup.url}/download/storage/v1/b/weights/o/zipped.json?alt=media`, {
  headers: { Authorization: `Bearer ${token}`, "Accept-Encoding": "identity", Range: "bytes=0-9" },
});
assert.equal(transcoded.status, 200);
assert.equal(await transcoded.text(), setup.zipped);
assert.equal(transcoded.headers.get("x-guploader-response-body-transformations"), "gunzipped");

// ---- refusals -----------------------------------------------------------------------------------

const now = Math.floor(Date.now() / 1000);
await rejects(keyClient({ ...setup.key, private_key: setup.other.private_key }).getAccessToken(), /Invalid JWT Signature/);
await rejects(keyClient({ ...setup.key, client_email: "gone@x.iam.gserviceaccount.com" }).getAccessToken(), /account not found/);
await rejects(federatedClient(subjectToken({ exp: now - 10 })).getAccessToken(), /stale to sign-in/);
await rejects(federatedClient(subjectToken({ aud: "another" })).getAccessToken(), /does not match the expected audience/);
await rejects(federatedClient(subjectToken({ iss: "https://another.test" })).getAccessToken(), /issuer in ID Token/);
await rejects(federatedClient(subjectToken({ sub: "v=1:org=other" })).getAccessToken(), /attribute condition/);
await rejects(federatedClient(subjectToken({ sub: `v=1:org=lab:${"x".repeat(127)}` })).getAccessToken(), /127 bytes/);
await rejects(federatedClient(`${subjectToken().slice(0, -8)}AAAAAAAA`).getAccessToken(), /signature/);
await rejects(
  federatedClient(subjectToken(), setup.provider.replace("pool/", "gone/")).getAccessToken(), /invalid_target/);
await rejects(
  federatedClient(subjectToken(), setup.provider, setup.other.client_email).getAccessToken(), /getAccessToken' denied/);
await rejects(
  federatedClient(subjectToken(), setup.provider, "gone@x.iam.gserviceaccount.com").getAccessToken(), /not found/i);
const anonymous = await fetch(`${setup.url}/storage/v1/b/weights/o`);
assert.equal(anonymous.status, 401);
