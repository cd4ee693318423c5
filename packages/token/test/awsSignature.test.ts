import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { signedHeaders } from "../src/internal/workload/awsSignature.ts"

// The expected signatures are those of @smithy/signature-v4 5.7.5, which the AWS SDK for JavaScript uses.
describe("AWS Signature Version 4", () => {
  const cases = [
    [undefined, "edef762980b742ab8097678bac97e812ebe61235223b08aed108cb550c0f3da2", ""],
    [
      "AQoDYXdzEPT//////////wEXAMPLE==",
      "0639ce7f12e3cdc814802f19902eaa48f524ca68f2658ce85d8943d62aea0089",
      ";x-amz-security-token"
    ]
  ] as const
  for (const [session, signature, names] of cases) {
    it.effect(`[K-39] signs as the AWS SDK does, ${session === undefined ? "without" : "with"} a session token`, () =>
      Effect.gen(function*() {
        const headers = yield* Effect.promise(() =>
          signedHeaders({
            url: new URL("https://sts.eu-central-1.amazonaws.com/"),
            body: "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=https%3A%2F%2Fidp.example" +
              "&DurationSeconds=300&SigningAlgorithm=ES384",
            region: "eu-central-1",
            service: "sts",
            credentials: {
              accessKeyId: "AKIDEXAMPLE",
              secretAccessKey: Redacted.make("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
              sessionToken: session === undefined ? undefined : Redacted.make(session)
            },
            now: Date.parse("2026-11-30T12:34:56.789Z")
          })
        )
        assert.deepStrictEqual(headers, {
          "content-type": "application/x-www-form-urlencoded; charset=utf-8",
          "x-amz-date": "20261130T123456Z",
          ...(session === undefined ? undefined : { "x-amz-security-token": session }),
          authorization: "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-central-1/sts/aws4_request, " +
            `SignedHeaders=content-type;host;x-amz-date${names}, Signature=${signature}`
        })
      }))
  }
})
