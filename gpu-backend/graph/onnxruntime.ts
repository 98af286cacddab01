/** The one place that loads onnxruntime-node, with its telemetry off. */
import { createRequire } from 'node:module';
import type * as Ort from 'onnxruntime-node';
import './no-telemetry.ts';

// A thread sees the environment that the process had when the thread started.
if (process.env.ORT_DISABLE_TELEMETRY !== '1') {
  throw new Error(
    'onnxruntime would report to its makers from this thread: import gpu-backend/graph/no-telemetry.ts where the thread is started',
  );
}

// `require` loads it here, below the check; an import would load it before.
const ort = createRequire(import.meta.url)('onnxruntime-node') as typeof Ort;
export const { InferenceSession, Tensor } = ort;
/** What this platform's build could run on. Whether a provider starts is another matter. */
export const PROVIDERS: ReadonlySet<string> = new Set(ort.listSupportedBackends().map(({ name }) => name));
export type InferenceSession = Ort.InferenceSession;
export type Tensor = Ort.Tensor;
