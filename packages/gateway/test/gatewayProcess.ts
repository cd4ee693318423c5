/** A gateway as a process, for signals: `node gatewayProcess.ts config.yaml`. It prints its port. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import * as NodeGateway from "../src/NodeGateway.ts"

const [path = ""] = process.argv.slice(2)
const announce = Layer.effectDiscard(
  NodeGateway.NodeGateway.use(({ address }) => Effect.sync(() => process.stdout.write(`port ${address.port}\n`)))
)
NodeRuntime.runMain(Layer.launch(Layer.provide(announce, NodeGateway.layerFile(path))), {
  teardown: NodeGateway.teardown
})
