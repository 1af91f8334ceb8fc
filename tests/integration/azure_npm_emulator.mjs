// Fills the vendor's emulator with a directory and prints SAS tokens for it.
// usage: azure_npm_emulator.mjs URL FILES_DIRECTORY MODULES_DIRECTORY KEY
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [url, root, modules, key] = process.argv.slice(2);
const require = createRequire(path.join(modules, "index.js"));
const blob = require("@azure/storage-blob");
const credential = new blob.StorageSharedKeyCredential("devstoreaccount1", key);
const service = new blob.BlobServiceClient(`${url}/devstoreaccount1`, credential);
const container = service.getContainerClient("models");
await container.create();

async function upload(below) {
  for (const entry of fs.readdirSync(path.join(root, below), { withFileTypes: true })) {
    const name = below ? `${below}/${entry.name}` : entry.name;
    if (entry.isDirectory()) await upload(name);
    else await container.getBlockBlobClient(`w/${name}`).uploadFile(path.join(root, name));
  }
}
await upload("");
await container.getBlockBlobClient("w/cold.bin").upload("cold", 4);
await container.getBlockBlobClient("w/cold.bin").setAccessTier("Archive");
await container.getBlockBlobClient("w/shards").upload("", 0, { metadata: { hdi_isfolder: "true" } });
await container.getBlockBlobClient("w-v2/other").upload("x", 1);

const sas = (permissions, expiresOn) => blob.generateBlobSASQueryParameters(
  { containerName: "models", permissions: blob.ContainerSASPermissions.parse(permissions), expiresOn }, credential).toString();
const soon = new Date(Date.now() + 7200_000);
console.log(JSON.stringify({
  rl: sas("rl", soon), r: sas("r", soon), ended: sas("rl", new Date(Date.now() - 60_000)),
  account: blob.generateAccountSASQueryParameters({ permissions: blob.AccountSASPermissions.parse("rl"), services: "b",
    resourceTypes: blob.AccountSASResourceTypes.parse("co").toString(), expiresOn: soon }, credential).toString(),
}));
