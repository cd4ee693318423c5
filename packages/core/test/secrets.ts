/**
 * Made-up secrets, each in texts as they turn up in messages, for every test that asks whether one gets out; and texts
 * that must get out unchanged. The secrets are computed, so that no scanner takes this file for a leak.
 */

/** A secret and the texts that carry it. */
export interface Secret {
  readonly name: string
  readonly secret: string
  /** What must not survive, nor 18 characters in a row of it. */
  readonly parts: ReadonlyArray<string>
  readonly carriers: ReadonlyArray<string>
}

const lower = "abcdefghijklmnopqrstuvwxyz"
const digits = "0123456789"
const alphanumeric = lower + lower.toUpperCase() + digits
const base64url = `${alphanumeric}-_`
const hex = `${digits}abcdef`

/** Always the same characters for a seed. */
const chars = (seed: string, length: number, alphabet = alphanumeric): string => {
  let state = Array.from(seed).reduce((sum, char) => (Math.imul(sum, 31) + char.codePointAt(0)!) >>> 0, 2_166_136_261)
  let out = ""
  while (out.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    out += alphabet[(state >>> 12) % alphabet.length]!
  }
  return out
}

const encode = (text: string): string => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
const percent = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*.~_-]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** What gives itself away, wherever it stands. */
const anywhere = (secret: string): ReadonlyArray<string> => [
  secret,
  `Request failed: ${secret} was rejected`,
  `The value "${secret}" is malformed`,
  `unexpected '${secret}', (${secret}), <${secret}>`,
  `first line\n${secret}\nlast line`,
  `GET https://api.example.com/v1/items/${secret}/detail failed`,
  `https://api.example.com/callback?filter=${secret}&page=2#part`,
  `https://app.example.com/#${secret}`,
  `{"note":"${secret}","page":2}`,
  `Error: no\n    at read (file:///srv/app/${secret}.js:10:5)`,
  `X-CUSTOM: ${secret}\r\nHost: api.example.com`
]

/** What only the name before it gives away. */
const after = (name: string, secret: string): ReadonlyArray<string> => [
  `GET https://api.example.com/path?page=1&${name}=${encodeURIComponent(secret)}&x=2 failed with 400`,
  `https://app.example.com/cb#${name}=${encodeURIComponent(secret)}&x=2`,
  `body: grant_type=refresh&${name}=${encodeURIComponent(secret)}&scope=read`,
  `redirect=https%3A%2F%2Fa.example%2F%3F${name}%3D${percent(secret)}%26x%3D2`,
  `${name}=${secret}`,
  `${name} = "${secret}"`,
  `{"${name}":"${secret}","page":2}`,
  `{\n  "${name}" : "${secret}",\n  "page": 2\n}`,
  JSON.stringify({ body: JSON.stringify({ [name]: secret, page: 2 }) }),
  JSON.stringify(JSON.stringify({ body: JSON.stringify({ [name]: secret }) })),
  encodeURIComponent(JSON.stringify({ [name]: secret, page: 2 })),
  `{ '${name}': '${secret}', page: 2 }`,
  `Map(2) { '${name}' => '${secret}', 'page' => 2 }`,
  `FormData: name="${name}"\r\n\r\n${secret}\r\n--boundary--`
]

/** Names that are no everyday words: also as a line of YAML, a command line, an element, a variable. */
const strongly = (name: string, secret: string): ReadonlyArray<string> => [
  ...after(name, secret),
  `settings:\n  ${name}: ${secret}\n  page: 2`,
  `invalid settings, ${name}: ${secret}, page: 2`,
  `export ${name.toUpperCase().replaceAll("-", "_")}=${secret}`,
  `MY_${name.toUpperCase().replaceAll("-", "_")}="${secret}"`,
  `tool --${name} ${secret} --verbose`,
  `tool --${name}='${secret}'`,
  `<${name}>${secret}</${name}>`,
  `Cookie: a=b; ${name}=${secret}; c=d`
]

const header = (name: string, secret: string): ReadonlyArray<string> => [
  `${name}: ${secret}`,
  `GET / HTTP/1.1\r\nHost: a.example\r\n${name}: ${secret}\r\nAccept: */*`,
  `${name.toUpperCase()}: ${secret}`,
  `${name.toLowerCase()}:${secret}`,
  `curl -H '${name}: ${secret}' https://a.example/`,
  `curl -H "${name}: ${secret}" https://a.example/`,
  `{"headers":{"${name}":"${secret}"}}`,
  `{ headers: { '${name}': '${secret}' } }`,
  `["${name}: ${secret}","Accept: */*"]`
]

const scheme = (name: string, secret: string): ReadonlyArray<string> => [
  `${name} ${secret}`,
  `rejected ${name.toLowerCase()} ${secret}, try again`,
  `got "${name.toUpperCase()} ${secret}"`,
  `value=${name}%20${encodeURIComponent(secret)}&x=1`,
  ...header("Authorization", `${name} ${secret}`),
  ...header("Proxy-Authorization", `${name} ${secret}`)
]

const entry = (
  name: string,
  secret: string,
  carriers: (secret: string) => ReadonlyArray<string>,
  parts: ReadonlyArray<string> = [secret]
): Secret => ({ name, secret, parts, carriers: carriers(secret) })

const jose = (name: string, secret: string): Secret =>
  entry(
    name,
    secret,
    (s) => [...anywhere(s), ...after("id_token", s), ...scheme("Bearer", s), ...header("DPoP", s), `eof${s}`],
    secret.split(/[.~]/).filter((part) => part.length >= 12)
  )

const segment = (seed: string) => chars(`segment ${seed}`, 43, base64url)
const claims = encode(JSON.stringify({ sub: "user-4711", iss: "https://issuer.example", aud: "api" }))
const jwts = [
  jose("JWS", `${encode("{\"alg\":\"RS256\",\"kid\":\"k1\"}")}.${claims}.${segment("jws")}`),
  jose("JWS of an EdDSA key", `${encode("{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\"}")}.${claims}.${segment("eddsa")}`),
  jose(
    "JWS with white space",
    `${encode("{ \"alg\": \"ES256\" }")}.${encode("{\n \"sub\":\"a\"}")}.${segment("space")}`
  ),
  jose("JWE", `${encode("{\"alg\":\"RSA-OAEP\"}")}.${["a", "b", "c", "d"].map(segment).join(".")}`),
  jose(
    "JWE with direct key",
    `${encode("{\"alg\":\"dir\",\"enc\":\"A256GCM\"}")}..${["e", "f", "g"].map(segment).join(".")}`
  ),
  jose("unsecured JWS", `${encode("{\"alg\":\"none\",\"typ\":\"JWT\"}")}.${encode("{\"sub\":\"root-7\"}")}.`),
  jose("JWS without signature", `${encode("{\"alg\":\"HS512\"}")}.${encode("{\"sub\":\"admin-99\"}")}`),
  jose("SD-JWT", `${encode("{\"alg\":\"ES384\"}")}.${claims}.${segment("sd")}~WyI${segment("disclosure")}~`)
]

const prefixes: ReadonlyArray<readonly [name: string, prefix: string, length: number, alphabet?: string]> = [
  ["AWS access key", "AKIA", 16, lower.toUpperCase() + digits],
  ["AWS temporary key", "ASIA", 16, lower.toUpperCase() + digits],
  ["GitHub personal token", "ghp_", 36],
  ["GitHub server token", "ghs_", 36],
  ["GitHub OAuth token", "gho_", 36],
  ["GitHub fine-grained token", "github_pat_", 82],
  ["GitLab token", "glpat-", 20],
  ["GitLab deploy token", "gldt-", 20],
  ["Slack bot token", "xoxb-", 40],
  ["Slack user token", "xoxp-", 40],
  ["Slack app token", "xapp-1-", 40],
  ["Google API key", "AIza", 35],
  ["Google access token", "ya29.", 60, base64url],
  ["Google client secret", "GOCSPX-", 28, base64url],
  ["Stripe live key", "sk_live_", 24],
  ["Stripe restricted key", "rk_live_", 24],
  ["Stripe webhook secret", "whsec_", 32],
  ["npm token", "npm_", 36],
  ["PyPI token", "pypi-", 60, base64url],
  ["Docker token", "dckr_pat_", 27, base64url],
  ["OpenAI key", "sk-proj-", 48],
  ["Anthropic key", "sk-ant-", 48],
  ["Hugging Face token", "hf_", 34],
  ["DigitalOcean token", "dop_v1_", 64, hex],
  ["Databricks token", "dapi", 32, hex],
  ["Shopify token", "shpat_", 32, hex],
  ["Vault token", "hvs.", 40],
  ["Mailgun key", "key-", 32, hex],
  ["Twilio key", "SK", 32, hex],
  ["Grafana token", "glsa_", 40],
  ["New Relic key", "NRAK-", 27, lower.toUpperCase() + digits],
  ["Atlassian token", "ATATT3", 60, base64url],
  ["Square token", "sq0atp-", 22],
  ["PlanetScale password", "pscale_pw_", 43],
  ["Sentry token", "sntrys_", 50],
  ["Netlify token", "nfp_", 40],
  ["Figma token", "figd_", 40],
  ["age key", "AGE-SECRET-KEY-1", 58, lower.toUpperCase() + digits],
  ["Linear key", "lin_api_", 40],
  ["Notion token", "ntn_", 46]
]
const issued = prefixes.map(([name, prefix, length, alphabet]) =>
  entry(name, prefix + chars(name, length, alphabet), (s) => [...anywhere(s), `eof${s}`])
)

const random = [
  entry(
    "AWS secret key",
    `${chars("aws", 19)}/${chars("aws2", 20)}`,
    (s) => [s, `signed with ${s} in eu-west-1`, `["${s}"]`]
  ),
  entry("opaque token of 32 bytes", chars("opaque", 43, base64url), anywhere),
  entry("opaque token of 24 bytes", chars("opaque24", 32), anywhere),
  entry(
    "opaque word",
    `${chars("word", 6)}7${chars("word2", 6)}`,
    (s) => [`invalid token ${s}`, `the API key is ${s}.`, `no such secret "${s}"`]
  )
]

const unmistakable = (
  "client_secret client_assertion password passwd pwd secret_key api_key apikey api-key " +
  "access_token refresh_token id_token subject_token code_verifier device_code x-amz-signature " +
  "x-amz-security-token x-amz-credential sessionid connect.sid JSESSIONID clientSecret accessToken " +
  "privateKey passphrase AccountKey db_password"
).split(" ")
const everyday = ["token", "secret", "signature", "assertion", "sig", "sid", "session", "jwt", "otp", "pin"]
const ambiguous = ["code", "state", "nonce", "key", "user_code"]
const named = [
  ...unmistakable.map((name) => entry(name, `${chars(name, 9)}3x`, (s) => strongly(name, s))),
  ...everyday.map((name) => entry(name, `${chars(name, 9)}4y`, (s) => after(name, s))),
  ...ambiguous.map((name) => entry(name, `${chars(name, 14)}5z`, (s) => after(name, s))),
  entry(
    "password with punctuation",
    "pa$$;w,o(r)d!77",
    (s) => [`password=${s} host=db`, `{"password":"${s}"}`, `  password: ${s}`]
  ),
  entry(
    "password of words",
    "correct horse battery",
    (s) => [`{"password":"${s}"}`, `db:\n  password: ${s}\n`, `password: '${s}'`]
  ),
  entry(
    "password with quotes",
    "say \"hi\" to 'x'77",
    (s) => [JSON.stringify({ password: s }), JSON.stringify(JSON.stringify({ password: s }))],
    ["to 'x'77"]
  ),
  entry("number", "8675309421", (s) => [`{"client_secret":${s}}`, `client_secret=${s}`, `{ password: ${s} }`]),
  entry("list", "zq81-first-zq81", (s) => [`{"tokens":["a","${s}"],"page":2}`, `secrets: [ 'a', '${s}' ]`]),
  entry("block", "qx92 on the second line", (s) => [`password: |\n  first\n  ${s}\nport: 1`])
]

const headers = [
  ["X-Api-Key", chars("X-Api-Key", 8)],
  ["X-Auth-Token", chars("X-Auth-Token", 8)],
  ["X-Vault-Token", chars("X-Vault-Token", 8)],
  ["X-Amz-Security-Token", chars("X-Amz", 20)],
  ["Cookie", `theme=dark; sid=${chars("cookie", 9)}; lang=en`],
  ["Set-Cookie", `prefs=${chars("set-cookie", 9)}; Path=/; HttpOnly`],
  ["Authorization", chars("authorization", 9)],
  ["Proxy-Authorization", chars("proxy", 9)]
].map(([name = "", secret = ""]) =>
  entry(
    `header ${name}`,
    secret,
    (s) => header(name, s),
    name.endsWith("ookie") ? [/=(\w{9})(?:;|$)/.exec(secret)![1]!] : [secret]
  )
)

const schemes = [
  entry("Bearer", chars("bearer", 10), (s) => scheme("Bearer", s)),
  entry("DPoP", chars("dpop", 10), (s) => scheme("DPoP", s)),
  entry("Basic", btoa("client-7:s3cr3t-pw"), (s) => scheme("Basic", s)),
  entry("Negotiate", btoa("\u0060\u0082spnego-blob-77"), (s) => scheme("Negotiate", s)),
  entry("NTLM", btoa("NTLMSSP-blob-12345"), (s) => scheme("NTLM", s)),
  entry("Digest", chars("digest", 32, hex), (s) => [
    ...header("Authorization", `Digest username=u, uri=/, response=${s}`),
    `sent Digest username="u", uri="/", response="${s}"`,
    `authorization=Digest username="u", response="${s}"`
  ]),
  entry(
    "AWS signature",
    chars("sigv4", 64, hex),
    (s) => [`AWS4-HMAC-SHA256 Credential=c/aws4_request, Signature=${s}`]
  ),
  entry("OAuth 1 signature", chars("oauth1", 27), (s) => [`OAuth oauth_nonce="n", oauth_signature="${s}"`])
]

const userinfo = (secret: string): ReadonlyArray<string> => [
  `https://user:${encodeURIComponent(secret)}@api.example.com/path?page=1`,
  `connect to redis://:${secret}@cache:6379/0 failed`,
  `connect to postgres://app:${secret}@db:5432/main?sslmode=require failed`,
  `mongodb+srv://app:${secret}@a.example,b.example/db`,
  `Invalid URL: https://${secret}@a.example`,
  `{"url":"https:\\/\\/user:${secret}@a.example\\/"}`,
  `https%3A%2F%2Fuser%3A${secret}%40a.example%2Fpath`
]
const urls = [
  entry("password in a URL", "Ur1p4ssw0rd", userinfo),
  entry(
    "password with a slash in a URL",
    "ur/l#p?55ss",
    (s) => [`postgres://app:${s}@db:5432/main`, `Invalid URL "amqp://app:${s}@mq"`]
  ),
  entry(
    "Slack webhook",
    `T0${chars("slack", 8)}/B0${chars("slack2", 8)}/${chars("slack3", 24)}`,
    (s) => [`POST https://hooks.slack.com/services/${s} failed`]
  )
]

const body = Array.from({ length: 6 }, (_, i) => chars(`pem ${i}`, 64, `${alphanumeric}+/`))
const pem = (label: string) => {
  const lines = [...body, "shortTail=="]
  const block = (eol: string) => [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`].join(eol)
  return entry(label, block("\n"), (s) => [
    s,
    `key:\n${s}\nnext`,
    `{"pem":${JSON.stringify(s)},"page":2}`,
    block("\r\n"),
    block(" "),
    encodeURIComponent(s),
    s.slice(0, 200)
  ], lines)
}
const pems = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"].map(
  pem
)

const jwks = ["d", "p", "q", "dp", "dq", "qi", "k"].map((name) =>
  entry(`JWK ${name}`, chars(`jwk ${name}`, name === "k" ? 22 : 43, base64url), (s) => [
    `{"kty":"RSA","e":"AQAB","${name}":"${s}"}`,
    `{ kty: 'EC', crv: 'P-256', ${name}: '${s}' }`,
    JSON.stringify(JSON.stringify({ kty: "OKP", [name]: s })),
    `{"${name}":"${s}"}`
  ])
)

/** The corpus. */
export const secrets: ReadonlyArray<Secret> = [
  ...jwts,
  ...issued,
  ...random,
  ...named,
  ...headers,
  ...schemes,
  ...urls,
  ...pems,
  ...jwks,
  entry("JWK oth", chars("jwk oth", 30), (s) => [`{"kty":"RSA","oth":[{"r":"${s}","d":"x","t":"y"}],"e":"AQAB"}`])
]

const forms = (part: string): ReadonlyArray<string> => {
  const bytes = String.fromCodePoint(...new TextEncoder().encode(part))
  const complete = encode(bytes).slice(0, Math.floor(bytes.length / 3) * 4)
  return [
    part,
    encodeURIComponent(part),
    percent(part),
    complete,
    complete.replaceAll("-", "+").replaceAll("_", "/"),
    JSON.stringify(part).slice(1, -1)
  ]
}

/** Pieces of 12 characters, each 6 after the one before. */
const pieces = (part: string): ReadonlyArray<string> =>
  part.length < 18
    ? []
    : Array.from({ length: Math.floor((part.length - 12) / 6) + 1 }, (_, i) => part.slice(i * 6, i * 6 + 12))

const traces = secrets.map(({ name, parts }) => ({
  name,
  traces: [...new Set(parts.flatMap((part) => [...forms(part), ...pieces(part)]))].filter((trace) => trace.length >= 6)
}))

/** The names of the secrets that a text shows: as they are, in part, percent-encoded, in base64 or escaped. */
export const survives = (output: string): ReadonlyArray<string> =>
  traces.filter(({ traces }) => traces.some((trace) => output.includes(trace))).map(({ name }) => name)

/** What must pass unchanged. */
export const harmless: ReadonlyArray<string> = [
  "",
  "The token expired",
  "Invalid token: expired 5 minutes ago",
  "Unexpected token 'a', \"abc\" is not valid JSON",
  "token_type=Bearer",
  "The Bearer token is missing",
  "Basic authentication failed",
  "WWW-Authenticate: Bearer error=\"invalid_token\"",
  "code: 42 is retried",
  "exit code 3221225477",
  "exit code=1",
  "{ code: 'ECONNREFUSED', errno: -111 }",
  "{\"code\":\"NETWORK_ERROR\",\"message\":\"no\"}",
  "error_code=TOK-002 state=open",
  "breaker state: half-open",
  "keyboard=qwertz99",
  "monkey: 1",
  "Missing key: maxAttempts",
  "expected baseDelay at most maxDelay",
  "publicKeyJwkSet was empty",
  "client_secret: must be a string",
  "{ readonly client_secret: string }",
  "max_tokens=100, tokens: 5",
  "password: undefined",
  "secret is required",
  "123e4567-e89b-12d3-a456-426614174000",
  "HttpServerResponseEncoder2Factory of src/HttpServerResponseEncoder2/withResponseHeaders/index.ts",
  "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "2026-05-04T12:34:56.789Z",
  "effect@4.1.0, node v24.21.0, build 20260504",
  "/usr/local/lib/node_modules/effect/dist/index.js",
  "C:\\Users\\me\\project\\src\\index.ts",
  "    at Object.<anonymous> (file:///srv/app/packages/core/src/Redaction.ts:12:34)",
  "    at /srv/node_modules/.pnpm/@effect+vitest@4.1.0_vitest@5.1.0/node_modules/@effect/vitest/dist/index.js:1:2",
  "https://api.example.com/v1/users/42/items",
  "https://registry.npmjs.org/@effect/vitest/-/vitest-4.1.0.tgz",
  "https://[::1]:8080/path@home",
  "git+ssh://git@github.com/keelson/keelson.git",
  "GET https://api.example.com/items?page=2&sort=name returned 503",
  "connect ECONNREFUSED 127.0.0.1:6379",
  "user@example.com is not allowed",
  "Content-Type: application/json; charset=utf-8",
  "Retry-After: 120",
  "took 00:01:30, ratio 3:4, a => b, x == y",
  "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"use\":\"sig\"}",
  "-----BEGIN CERTIFICATE-----",
  "Grüße: 你好, 🚀 done",
  "[REDACTED]",
  "Bearer [REDACTED]"
]
