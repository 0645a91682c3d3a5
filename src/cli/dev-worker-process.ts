// The process of the worker of `npm start`: the example as it is, which ends with its starter, however that ends. A worker ends by signals
// alone, and a starter that was killed sends none.
import process from "node:process";

process.once("disconnect", () => process.exit());
await import("../../examples/ocr-worker/worker.ts");
