/** An object store for tests of sinks: a bucket of the scripted S3, without signatures. */
import { AuditError } from "@keelson/audit/AuditError"
import type { ObjectStore } from "@keelson/audit/ObjectStore"
import * as Effect from "effect/Effect"

export const bucket = "logs"

export const objectStore = (url: string): ObjectStore["Service"] => ({
  put: ({ body, contentType, key }) =>
    Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(`${url}/${bucket}/${key}`, {
          method: "PUT",
          body: Buffer.from(body),
          headers: { "content-type": contentType },
          signal
        })
        await response.arrayBuffer()
        if (!response.ok) throw new Error(`The status is ${response.status}`)
      },
      catch: (cause) => new AuditError({ _tag: "ObjectStore", operation: "put" }, cause)
    })
})
