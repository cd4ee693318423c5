/** A real OpenID provider that logs a user in and out, and posts logout tokens to a client. */
import { signingKey } from "@keelson/testing/oidcProvider"
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import { createRequire } from "node:module"

/** The part of the package used here; the package has no types. */
interface Provider {
  readonly callback: () => Http.RequestListener
  readonly on: (event: string, listener: (...args: ReadonlyArray<unknown>) => void) => void
}
interface OidcProviderModule {
  readonly Provider: new(issuer: string, configuration: object) => Provider
}

const { Provider }: OidcProviderModule = createRequire(import.meta.url)("oidc-provider")

const client = { client_id: "web", client_secret: "secret" } as const
const redirectUri = "https://app.example/callback"

const configuration = (jwks: object, logoutUri: string, isSessionRequired: boolean) => ({
  jwks,
  clients: [{
    ...client,
    redirect_uris: [redirectUri],
    id_token_signed_response_alg: "ES256",
    backchannel_logout_uri: logoutUri,
    backchannel_logout_session_required: isSessionRequired
  }],
  enabledJWA: { idTokenSigningAlgValues: ["ES256", "RS256"] },
  pkce: { required: () => false },
  cookies: { keys: ["for tests"] },
  // Its dispatcher refuses loopback addresses, and its signal ends a request after 2.5 seconds, which a busy machine may take.
  fetch: (url: string, { body, headers, method, redirect }: RequestInit) =>
    fetch(url, {
      ...(body === undefined ? undefined : { body }),
      ...(headers === undefined ? undefined : { headers }),
      ...(method === undefined ? undefined : { method }),
      ...(redirect === undefined ? undefined : { redirect })
    }),
  features: { backchannelLogout: { enabled: true } }
})

/** A browser: cookies, and redirects one by one. */
class Browser {
  readonly #cookies = new Map<string, string>()
  readonly #origin: string
  constructor(origin: string) {
    this.#origin = origin
  }
  async request(path: string, form?: Readonly<Record<string, string>>): Promise<Response> {
    const response = await fetch(new URL(path, this.#origin), {
      redirect: "manual",
      method: form === undefined ? "GET" : "POST",
      headers: { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form === undefined ? undefined : { body: new URLSearchParams(form) })
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      this.#cookies.set(name, value)
    }
    return response
  }
  /** Follows redirects within the provider, and returns where the last one leads. */
  async follow(response: Response): Promise<string> {
    const location = new URL(response.headers.get("location") ?? "", this.#origin)
    if (location.origin !== this.#origin) return location.href
    const next = await this.request(location.href)
    return next.status >= 300 && next.status < 400 ? this.follow(next) : location.href
  }
}

export interface LogoutProvider {
  readonly issuer: string
  /** Logs a user in, in a new browser. Returns the ID token, and what logs out there. */
  readonly logIn: (user: string) => Effect.Effect<{ readonly idToken: string; readonly logOut: Effect.Effect<void> }>
  /** The outcomes of the logout requests that the provider sent. */
  readonly outcomes: ReadonlyArray<string>
}

const logIn = async (issuer: string, user: string) => {
  const browser = new Browser(issuer)
  const query = new URLSearchParams({
    client_id: client.client_id,
    response_type: "code",
    scope: "openid",
    redirect_uri: redirectUri
  })
  const login = await browser.follow(await browser.request(`/auth?${query}`))
  const consent = await browser.follow(await browser.request(login, { prompt: "login", login: user, password: "x" }))
  const callback = await browser.follow(await browser.request(consent, { prompt: "consent" }))
  const response = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}` },
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code: new URL(callback).searchParams.get("code") ?? "",
      redirect_uri: redirectUri
    })
  })
  const { id_token: idToken = "" }: { readonly id_token?: string } = await response.json()
  const logOut = async (): Promise<void> => {
    const page = await (await browser.request(`/session/end?id_token_hint=${idToken}`)).text()
    const [, xsrf = ""] = /name="xsrf" value="([^"]+)"/.exec(page) ?? []
    await browser.request("/session/end/confirm", { xsrf, logout: "yes" })
  }
  return { idToken, logOut: Effect.promise(logOut) }
}

/** Starts a provider that posts logout tokens to this URL. */
export const logoutProvider = Effect.fnUntraced(function*(
  logoutUri: string,
  isSessionRequired: boolean
): Effect.fn.Return<LogoutProvider, never, Scope.Scope> {
  const key = yield* signingKey("ES256", "key")
  const outcomes: Array<string> = []
  const server = Http.createServer()
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const issuer = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  const provider = new Provider(issuer, configuration({ keys: [key] }, logoutUri, isSessionRequired))
  provider.on("backchannel.success", () => outcomes.push("success"))
  provider.on("backchannel.error", (_, error) => outcomes.push(String(error)))
  server.on("request", provider.callback())
  return { issuer, outcomes, logIn: (user) => Effect.promise(() => logIn(issuer, user)) }
})
