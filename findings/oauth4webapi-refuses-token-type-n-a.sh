#!/bin/sh
# oauth4webapi 3.8.8
#
# RFC 8693 2.2.1 sets `token_type` to "N_A" in the answer to a token exchange whose issued token is not an access token
# (for example a refresh token or an ID token). `processGenericTokenEndpointResponse` refuses that valid answer as an
# unsupported token type; the caller has to name the type in `recognizedTokenTypes`. The key must be in lower case: the
# spelling of the RFC, `N_A`, is not found, since the type is turned into lower case before the look-up. The result then
# says "n_a", so a comparison with "N_A" fails after it. "Bearer" comes back as "bearer" in the same way. (The doc comment
# states the lower case; nothing mentions N_A.)
#
# Guess: a library with a generic token endpoint response knows the one token type that means "none", and returns the
# member as the server sent it.
#
# Seen (Node v20.20.2 and v24.21.0):
#   default                          UnsupportedOperationError OAUTH_UNSUPPORTED_OPERATION
#   recognizedTokenTypes: { N_A }    UnsupportedOperationError OAUTH_UNSUPPORTED_OPERATION
#   recognizedTokenTypes: { n_a }    token_type is "n_a"
#   "Bearer", default                token_type is "bearer"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent oauth4webapi@3.8.8
cat > run.js <<'JS'
import assert from "node:assert"
import * as oauth from "oauth4webapi"

const server = { issuer: "https://as.example", token_endpoint: "https://as.example/token" }
const client = { client_id: "client" }
const read = async (tokenType, options) => {
  const response = Response.json({
    access_token: "token",
    issued_token_type: "urn:ietf:params:oauth:token-type:refresh_token",
    token_type: tokenType
  })
  try {
    const result = await oauth.processGenericTokenEndpointResponse(server, client, response, options)
    return `token_type is "${result.token_type}"`
  } catch (error) {
    return `${error.name} ${error.code}`
  }
}
const observed = {
  "default": await read("N_A"),
  "recognizedTokenTypes: { N_A }": await read("N_A", { recognizedTokenTypes: { N_A: () => {} } }),
  "recognizedTokenTypes: { n_a }": await read("N_A", { recognizedTokenTypes: { n_a: () => {} } }),
  "\"Bearer\", default": await read("Bearer")
}
console.log("node", process.version)
for (const [name, seen] of Object.entries(observed)) console.log(name.padEnd(32), seen)
assert.deepStrictEqual(observed, {
  "default": "UnsupportedOperationError OAUTH_UNSUPPORTED_OPERATION",
  "recognizedTokenTypes: { N_A }": "UnsupportedOperationError OAUTH_UNSUPPORTED_OPERATION",
  "recognizedTokenTypes: { n_a }": "token_type is \"n_a\"",
  "\"Bearer\", default": "token_type is \"bearer\""
})
JS
node run.js
