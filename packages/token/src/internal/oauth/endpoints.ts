import * as Host from "@keelson/core/unstable/Host"
import * as Option from "effect/Option"

const parse = (text: string): URL | undefined => URL.canParse(text) ? new URL(text) : undefined

const isAllowed = ({ hash, hostname, password, protocol, username }: URL, allowLocalhost: boolean): boolean =>
  username === "" && password === "" && hash === "" &&
  (protocol === "https:" || (protocol === "http:" && allowLocalhost && Host.isLocal(hostname)))

/** Whether credentials may be sent to a URL: over https, or to this machine if that is allowed (RFC 6749, 3.2). */
export const isEndpoint = (text: string, allowLocalhost: boolean): boolean => {
  const url = parse(text)
  return url !== undefined && !text.includes("#") && isAllowed(url, allowLocalhost)
}

/** Whether an issuer's metadata may be requested. Unlike an endpoint, an issuer has no query (RFC 8414, 2). */
export const isIssuer = (text: string, allowLocalhost: boolean): boolean =>
  !text.includes("?") && isEndpoint(text, allowLocalhost)

/** A URL as errors contain it: origin and path only. */
export const originAndPath = (text: string): string =>
  Option.match(Option.fromUndefinedOr(parse(text)), {
    onNone: () => "",
    onSome: ({ origin, pathname }) => `${origin}${pathname}`
  })
