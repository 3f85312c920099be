// Discovers an issuer and asks for tokens with openid-client, then verifies the last one with jose.
// In: one JSON argument {issuer, client_id, client_secret, scope}. Out: one JSON line, a result for each case.
import * as openid from "openid-client";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { issuer, client_id, client_secret, scope } = JSON.parse(process.argv[2]);
const results = {};

for (const algorithm of ["oidc", "oauth2"]) {
  for (const method of ["ClientSecretBasic", "ClientSecretPost"]) {
    const config = await openid.discovery(
      new URL(issuer),
      client_id,
      { client_secret },
      openid[method](client_secret),
      { algorithm, execute: [openid.allowInsecureRequests] },
    );
    const answer = await openid.clientCredentialsGrant(config, { scope });
    const metadata = config.serverMetadata();
    const verified = await jwtVerify(answer.access_token, createRemoteJWKSet(new URL(metadata.jwks_uri)), {
      issuer: metadata.issuer,
      audience: issuer,
      typ: "at+jwt",
    });
    results[`${algorithm} ${method}`] = { answer, header: verified.protectedHeader, claims: verified.payload };
  }
}

const refused = await openid.discovery(
  new URL(issuer),
  client_id,
  { client_secret },
  openid.ClientSecretBasic("wrong"),
  { execute: [openid.allowInsecureRequests] },
);
try {
  await openid.clientCredentialsGrant(refused, {});
} catch (error) {
  results.refused = { kind: error.constructor.name, error: error.error, status: error.status, challenges: error.cause };
}
console.log(JSON.stringify(results));
