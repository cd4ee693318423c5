import { assert, describe, it } from "@effect/vitest"
import { isWithin, networkOf } from "@keelson/core/unstable/Networks"
import type { Confirmation } from "../src/Claims.ts"
import type { BindingOptions } from "../src/index.ts"
import { HttpSecurityOptions } from "../src/index.ts"
import { bindingRules } from "../src/internal/dpop/bindingRules.ts"
import { checkConfirmation } from "../src/internal/dpop/confirmation.ts"
import { readCertificate } from "../src/internal/mtls/certificateHeader.ts"

const none = { jkt: undefined, "x5t#S256": undefined }
const tokens: Readonly<Record<string, Confirmation | undefined>> = {
  bearer: undefined,
  dpop: { ...none, jkt: "a" },
  mtls: { ...none, "x5t#S256": "b" },
  both: { jkt: "a", "x5t#S256": "b" },
  other: none,
  wrong: { ...none, jkt: "" }
}

/** The reason for each kind of token, sent with the scheme for it. */
const reasons = (options: BindingOptions.Options) => {
  const rules = bindingRules(HttpSecurityOptions.make({ baseUrls: ["https://api.example"], ...options }))
  return Object.fromEntries(
    Object.entries(tokens).map(([name, cnf]) => {
      const scheme = cnf?.jkt !== undefined && rules.dpop !== "off" ? "DPoP" : "Bearer"
      return [name, checkConfirmation(cnf, scheme, rules)?._tag ?? "checked"]
    })
  )
}

const [checked, unbound, unsupported] = ["checked", "TokenUnbound", "BindingUnsupported"]

describe("The ways in which tokens are bound", () => {
  it("[K-23] are each off, allowed or required", () => {
    const table: ReadonlyArray<readonly [BindingOptions.Options, ReadonlyArray<string | undefined>]> = [
      [{}, [checked, unsupported, unsupported, unsupported, unsupported, unsupported]],
      [{ dpop: "allowed" }, [checked, checked, unsupported, unsupported, unsupported, checked]],
      [{ dpop: "required" }, [unbound, checked, unsupported, unsupported, unsupported, checked]],
      [{ mtls: "allowed" }, [checked, unsupported, checked, unsupported, unsupported, unsupported]],
      [{ mtls: "required" }, [unbound, unsupported, checked, unsupported, unsupported, unsupported]],
      [{ dpop: "allowed", mtls: "allowed" }, [checked, checked, checked, checked, unsupported, checked]],
      [
        { dpop: "allowed", mtls: "allowed", requireBinding: true },
        [unbound, checked, checked, checked, unsupported, checked]
      ],
      [{ dpop: "required", mtls: "required" }, [unbound, unbound, unbound, checked, unsupported, unbound]],
      [{ unsupportedBinding: "ignore" }, [checked, checked, checked, checked, checked, checked]],
      [{ dpop: "required", unsupportedBinding: "ignore" }, [unbound, checked, unbound, checked, unbound, checked]]
    ]
    for (const [options, expected] of table) {
      assert.deepStrictEqual(Object.values(reasons(options)), expected, JSON.stringify(options))
    }
  })
})

const der = Buffer.from("a certificate in DER, whose content does not matter here")
const base64 = der.toString("base64")
const hash = "ab".repeat(32)

/** The certificate in a header: its bytes as text, or its thumbprint in hex. */
const read = (format: "rfc9440" | "pem" | "xfcc", text: string): string | undefined => {
  const found = readCertificate(text, { format })
  if (found === undefined) return undefined
  return "der" in found ? Buffer.from(found.der).toString() : Buffer.from(found.thumbprint, "base64url").toString("hex")
}

describe("The header with a client certificate", () => {
  it("[K-23] has the byte sequence of RFC 9440", () => {
    for (const good of [`:${base64}:`, ` :${base64}: `]) assert.strictEqual(read("rfc9440", good), String(der))
    for (
      const bad of [
        "",
        "::",
        base64,
        `:${base64}`,
        `${base64}:`,
        `:${base64}:;a=1`,
        `:${base64}:, :${base64}:`,
        `:a b:`,
        ":-_:",
        `"${base64}"`
      ]
    ) {
      assert.isUndefined(read("rfc9440", bad), bad)
    }
  })

  it("[K-23] has one certificate in percent-encoded PEM, with or without its first and last line", () => {
    const lines = `${base64.slice(0, 40)}\n${base64.slice(40)}`
    const pem = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
    for (
      const good of [encodeURIComponent(pem), encodeURI(pem), encodeURIComponent(base64), encodeURIComponent(lines)]
    ) {
      assert.strictEqual(read("pem", good), String(der), good)
    }
    for (
      const bad of [
        "",
        "%",
        encodeURIComponent(pem + pem),
        encodeURIComponent(`${base64},${base64}`),
        encodeURIComponent(pem.replace("-----END CERTIFICATE-----", "")),
        encodeURIComponent(pem.replaceAll("CERTIFICATE", "PUBLIC KEY")),
        "(null)"
      ]
    ) {
      assert.isUndefined(read("pem", bad), bad)
    }
  })

  it("[K-23] has the hash in the only element of Envoy's header", () => {
    for (
      const good of [
        `Hash=${hash}`,
        `By=spiffe://a;Hash=${hash};Subject="CN=x,O=\\"a;Hash=1\\"";URI=spiffe://b`,
        `hash=${hash.toUpperCase()};Cert="-----BEGIN%20CERTIFICATE-----"`
      ]
    ) {
      assert.strictEqual(read("xfcc", good), hash, good)
    }
    for (
      const bad of [
        "",
        "Hash=",
        "Hash=ab",
        `Hash=${hash}0`,
        `Hash=${hash};Hash=${hash}`,
        `Hash=${hash},Hash=${"cd".repeat(32)}`,
        `Subject="Hash=${hash}"`,
        `Subject="Hash=${hash};Hash=${hash}`,
        `Hash="${hash}"`,
        `;Hash=${hash}`
      ]
    ) {
      assert.isUndefined(read("xfcc", bad), bad)
    }
  })

  it("[K-23] counts only from the listed addresses, also as IPv4 mapped into IPv6", () => {
    const networks = ["10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1"].flatMap((text) => networkOf(text) ?? [])
    assert.lengthOf(networks, 4)
    for (const inside of ["10.0.0.1", "10.255.255.255", "::ffff:10.1.2.3", "::FFFF:192.0.2.1", "fd00::1", "::1"]) {
      assert.isTrue(isWithin(inside, networks), inside)
    }
    for (
      const outside of [
        "11.0.0.1",
        "192.0.2.2",
        "::ffff:11.0.0.1",
        "fe80::1",
        "::2",
        "",
        "x",
        "10.0.0.1:80",
        "10.0.0.1, 10.0.0.2"
      ]
    ) {
      assert.isFalse(isWithin(outside, networks), outside)
    }
  })
})
