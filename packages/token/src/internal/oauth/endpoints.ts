import * as Host from "@keelson/core/unstable/Host"
import * as Option from "effect/Option"

const parse = (text: string): URL | undefined => URL.canParse(text) ? new URL(text) : undefined

const isReachable = ({ hash, hostname, password, protocol, username }: URL, allowLocalhost: boolean): boolean =>
  username === "" && password === "" && hash === "" &&
  (protocol === "https:" || (protocol === "http:" && allowLocalhost && Host.isLocal(hostname)))

/** Whether credentials may be sent to a URL: by https, or to this machine where that is allowed (RFC 6749, 3.2). */
export const isEndpoint = (text: string, allowLocalhost: boolean): boolean => {
  const url = parse(text)
  return url !== undefined && !text.includes("#") && isReachable(url, allowLocalhost)
}

/** Whether metadata may be asked for an issuer, which has no query either (RFC 8414, 2). */
export const isIssuer = (text: string, allowLocalhost: boolean): boolean =>
  !text.includes("?") && isEndpoint(text, allowLocalhost)

/** A URL as errors show it: origin and path. */
export const shownUrl = (text: string): string =>
  Option.match(Option.fromUndefinedOr(parse(text)), {
    onNone: () => "",
    onSome: ({ origin, pathname }) => `${origin}${pathname}`
  })
