// Verifies tokens as a relying party does that knows nothing but the issuer's URL: discovery, then
// its key set, by npm's jose.
//
//   node oidc_npm_client.mjs ISSUER AUDIENCE PACKAGE_DIRECTORY < tokens, one a line
//
// Prints one JSON line a token: {"kid","alg","claims"} or {"refused": the reason's code}.
import { createRequire } from "node:module";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const [issuer, audience, packageDir] = process.argv.slice(2);
const jose = createRequire(join(packageDir, "x.js"))("jose");

const answer = await fetch(issuer + "/.well-known/openid-configuration", { redirect: "error" });
assert.equal(answer.status, 200);
assert.equal(answer.headers.get("content-type"), "application/json");
const discovery = await answer.json();
assert.equal(discovery.issuer, issuer);
assert.ok(new URL(discovery.jwks_uri).origin === new URL(issuer).origin);
assert.ok(discovery.id_token_signing_alg_values_supported.includes("RS256"));

const keys = jose.createRemoteJWKSet(new URL(discovery.jwks_uri));
for (const token of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  try {
    const { payload, protectedHeader } = await jose.jwtVerify(token, keys, {
      issuer, audience, typ: "JWT", requiredClaims: ["sub", "iat", "exp", "jti"],
      algorithms: discovery.id_token_signing_alg_values_supported,
    });
    // The name of a key is its thumbprint (RFC 7638).
    const { keys: published } = await (await fetch(discovery.jwks_uri)).json();
    const jwk = published.find((key) => key.kid === protectedHeader.kid);
    assert.equal(await jose.calculateJwkThumbprint(jwk), protectedHeader.kid);
    console.log(JSON.stringify({ kid: protectedHeader.kid, alg: protectedHeader.alg, claims: payload }));
  } catch (error) {
    console.log(JSON.stringify({ refused: error.code ?? String(error) }));
  }
}
