#!/bin/sh
# oidc-provider 9.13.3, feature jwtIntrospection (RFC 9701)
#
# A server with one ES256 key serves a client that states ES256 for its ID tokens. When signed introspection answers are switched on,
# the same client is refused at the token endpoint, for a client_credentials grant that has nothing to do with introspection: each
# client gets `introspection_signed_response_alg: RS256` by default, for which this server has no key, and a client
# with one such member is invalid as a whole.
#
# Guess: a feature that a client does not use leaves it as it was, or the default is an algorithm that the server has.
#
# Seen (Node v20.20.2 and v24.21.0):
#   without jwtIntrospection                      200
#   with jwtIntrospection                         400 invalid_client_metadata
#   with it, and the member stated as ES256       200
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent oidc-provider@9.13.3 jose@6.2.17
cat > run.js <<'JS'
import assert from "node:assert"
import { once } from "node:events"
import { createServer } from "node:http"
import { exportJWK, generateKeyPair } from "jose"
import * as oidc from "oidc-provider"

const { privateKey } = await generateKeyPair("ES256", { extractable: true })
const key = { ...await exportJWK(privateKey), alg: "ES256", kid: "key", use: "sig" }

/** The answer to a token request, of a server with these features and a client with these members. */
const answer = async (features, members) => {
  const server = createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new oidc.Provider(issuer, {
    enabledJWA: {
      idTokenSigningAlgValues: ["ES256"],
      introspectionSigningAlgValues: ["ES256", "RS256"]
    },
    jwks: { keys: [key] },
    clients: [{
      client_id: "client",
      client_secret: "secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
      ...members
    }],
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true }, ...features }
  })
  server.on("request", provider.callback())
  const response = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: {
      authorization: `Basic ${btoa("client:secret")}`,
      "content-type": "application/x-www-form-urlencoded"
    },
    body: "grant_type=client_credentials"
  })
  const { error } = await response.json()
  server.closeAllConnections()
  server.close()
  return error === undefined ? `${response.status}` : `${response.status} ${error}`
}

const signed = { introspection: { enabled: true }, jwtIntrospection: { enabled: true } }
const seen = {
  "without jwtIntrospection": await answer({ introspection: { enabled: true } }, {}),
  "with jwtIntrospection": await answer(signed, {}),
  "with it, and the member stated as ES256": await answer(signed, { introspection_signed_response_alg: "ES256" })
}
console.log("node", process.version)
for (const [name, outcome] of Object.entries(seen)) console.log(name.padEnd(45), outcome)
assert.deepStrictEqual(Object.values(seen), ["200", "400 invalid_client_metadata", "200"])
JS
node run.js 2>/dev/null
